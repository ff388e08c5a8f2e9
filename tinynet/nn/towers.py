"""Networks in towers: columns of layers side by side, each on a device of its own, that meet where the network says so."""

from collections.abc import Callable, Sequence

from tinynet.devices import Device, as_device, devices
from tinynet.errors import DeviceError
from tinynet.nn.module import Module
from tinynet.ops.shaping import concat
from tinynet.ops.transfer import transfer
from tinynet.tensor import Tensor


class Towers(Module):
    """Base of a network whose `towers`, a list of Modules with a `device`, share the maps of every layer.

    What flows through it is a list with the maps of each tower. Work is issued layer by layer, not tower by tower, so that
    all devices have work all the time.
    """

    towers: list

    def both(self, x: Tensor) -> list[Tensor]:
        """The same x for every tower, on its device."""
        return [x.to(tower.device) for tower in self.towers]

    def each(self, layer: Callable[..., Tensor], maps: Sequence[Tensor]) -> list[Tensor]:
        """layer(tower, its maps), for every tower."""
        out = []
        for tower, own in zip(self.towers, maps, strict=True):
            with tower.device:
                out.append(layer(tower, own))
        return out

    def exchange(self, maps: Sequence[Tensor]) -> list[Tensor]:
        """The maps of all towers, for every tower: where the columns of the paper's figure 2 cross."""
        places = [tower.device for tower in self.towers]
        gathered = {place: self.gather(maps, place) for place in dict.fromkeys(places)}
        return [gathered[place] for place in places]

    def gather(self, maps: Sequence[Tensor], place: Device | None = None) -> Tensor:
        """The maps of all towers as one Tensor on one device, that of the first tower if none is given."""
        place = place or self.towers[0].device
        with place:
            return concat([transfer(own, place) for own in maps], axis=1)


def places(given: str | Device | Sequence[str | Device] | None, count: int) -> list[Device]:
    """The devices of so many towers, from what a user gives: None (cpu:0), a name like "cpu:0,cpu:1", a Device, or a list.

    One device is that of all towers. Raises DeviceError for another number of devices, and for one that cannot be used.
    """
    names = [given or "cpu:0"] if given is None or isinstance(given, (str, Device)) else list(given)
    if names and all(isinstance(name, str) for name in names):
        found = devices(",".join(map(str, names)))  # all at once: the second "cuda:0" is another stream
    else:
        found = [as_device(name) for name in names]
    if len(found) not in (1, count):
        raise DeviceError(f"{count} towers run on one device or {count}; got {len(found)}")
    return found * (count // len(found))
