"""Who accepts from the sockets of a slot that has no worker.

Owns which workers listen on the sockets of other slots. Must not know why a slot has none: it may
be scaled away, its worker dead, starting, or out of order. Main thread of the arbiter.

Theory of operation: the kernel deals connections to the sockets of all slots, whether somebody
accepts from them or not. So while a slot has no worker that serves, every worker that does accepts
from its sockets, and gives them back when the slot is served again. What waits in the queue of a
socket stays there whoever accepts: the arbiter holds it open all the time.
"""

from __future__ import annotations

from granite.arbiter.channel import ACCEPT, RELEASE

TYPE_CHECKING = False
if TYPE_CHECKING:
    from granite.arbiter.fleet import Fleet
    from granite.arbiter.slot_sockets import SlotSockets

__all__ = ["Cover"]


class Cover:
    """Keep all of `sockets` served."""

    __slots__ = ("_fleet", "_sockets")

    def __init__(self, fleet: Fleet, sockets: SlotSockets) -> None:
        self._fleet = fleet
        self._sockets = sockets

    def manage(self) -> None:
        """Tell the workers what has changed."""
        if self._sockets.shared:
            return
        serving = {
            slot.index: slot.current
            for slot in self._fleet.slots
            if slot.current is not None and slot.current.serves
        }
        open_slots = {index for index in self._sockets.slots() if index not in serving}
        for worker in serving.values():
            if worker.covers == open_slots:
                continue
            for index in sorted(worker.covers - open_slots):
                worker.channel.send(RELEASE, b"%d" % index)
            for index in sorted(open_slots - worker.covers):
                worker.channel.send(ACCEPT, b"%d" % index, self._sockets.for_slot(index))
            worker.covers = set(open_slots)
