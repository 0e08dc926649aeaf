-- A 10 KiB upload. Without a request function wrk builds the request once and calls no Lua while it measures.
wrk.method = "POST"
wrk.body = string.rep("0123456789abcdef", 640)
wrk.headers["Content-Type"] = "application/octet-stream"
