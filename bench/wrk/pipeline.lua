-- Sends 16 requests in one write. wrk counts each response on its own, so its figure is requests, not batches.
local batch

init = function(args)
  local requests = {}
  for i = 1, 16 do
    requests[i] = wrk.format()
  end
  batch = table.concat(requests)
end

request = function()
  return batch
end
