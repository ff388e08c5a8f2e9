"""Calls between two processes: arguments go out, results come back, and what was changed on the way is changed here, too.

The judge calls functions of a learner that run in a process of their own (hand.py), and those may call functions that the
judge hands them. What crosses is data: numbers, strings, arrays, lists, tuples, dicts, sets, generators of random numbers,
instances of the classes that an exercise gives, and references to functions. Nothing is unpickled and nothing that arrives
is run; of any other object its kind arrives, and no more.

Both sides know an object that has crossed by the same number until the outermost call returns. So identity, cycles and
shared memory survive, and an argument that was changed over there comes back and is changed in place.

This file imports nothing of tinynet, because the learner's process has nothing of it.
"""

import builtins
import json
import struct
import threading
import types

import numpy as np

_PLAIN = (bool, int, float, str)


class Gone(BaseException):
    """The other process has ended, or says what makes no sense; no error of a function, so nobody catches it as one."""


class Wire:
    """One end. incoming, outgoing: binary files. first: 0 for one end, 1 for the other. classes: that are given, by name."""

    def __init__(self, incoming, outgoing, first, classes=None):
        self.incoming, self.outgoing = incoming, outgoing
        self.classes = classes or {}
        self._next, self._functions, self._depth = first, {}, 0
        self._objects, self._numbers, self._raised = {}, {}, {}
        self._open = []  # the arguments of calls that have not returned: at each crossing both sides see them alike
        self._thread = threading.get_ident()
        self.line = lambda error: None  # where in whose file an error was raised: (number, text)

    # frames -----------------------------------------------------------------------------------------------------------

    def send(self, **header):
        """Write a frame: a header for JSON, behind which the bytes of the arrays in its graph follow."""
        blobs = header.get("graph", {}).pop("blobs", [])
        text = json.dumps({**header, "sizes": [len(b) for b in blobs]}).encode()
        try:
            self.outgoing.write(b"".join([struct.pack(">Q", len(text)), text, *blobs]))
            self.outgoing.flush()
        except (BrokenPipeError, ValueError) as error:
            raise Gone from error

    def receive(self):
        """The next frame; raises Gone when there is none."""
        try:
            header = json.loads(self._read(struct.unpack(">Q", self._read(8))[0]))
            blobs = [self._read(int(size)) for size in header.pop("sizes")]
            header.setdefault("graph", {})["blobs"] = blobs
            return header
        except (ValueError, KeyError, TypeError, AttributeError, MemoryError, OverflowError) as error:
            raise Gone from error

    def _read(self, size):
        data = self.incoming.read(size)
        if len(data) != size:
            raise Gone
        return data

    # calls ------------------------------------------------------------------------------------------------------------

    def call(self, number, args, kwargs):
        """Call a function of the other side."""
        if threading.get_ident() != self._thread:
            raise RuntimeError("this function can only be called by the thread in which the exercise runs")
        self._depth += 1
        self._open.append([args, kwargs])
        try:
            self.send(kind="call", function=number, graph=self.encode([list(args), kwargs, self._open]))
            while True:
                frame = self.receive()
                if frame["kind"] == "call":
                    self.serve(frame)
                elif frame["kind"] == "raise":
                    raise self._error(frame)
                else:
                    return self.decode(frame["graph"])[0]
        finally:
            self._depth -= 1
            self._open.pop()
            self._forget()

    def serve(self, frame):
        """Answer a call of the other side."""
        self._depth += 1
        args, kwargs, _ = self.decode(frame["graph"])
        self._open.append([args, kwargs])
        try:
            try:
                result = self._functions[frame["function"]](*args, **kwargs)
                answer = {"kind": "return", "graph": self.encode([result, self._open])}
            except BaseException as error:
                if isinstance(error, Gone):
                    raise
                answer = self._failed(error)
            self.send(**answer)
        finally:
            self._depth -= 1
            self._open.pop()
            self._forget()

    def _forget(self):
        if self._depth == 0:
            self._objects, self._numbers, self._raised = {}, {}, {}

    def offer(self, function):
        """The number by which the other side may call a function."""
        for number, known in self._functions.items():
            if known is function or (isinstance(known, types.MethodType) and known == function):
                return number
        number = self._number()
        self._functions[number] = function
        return number

    def proxy(self, number):
        """A function that calls the one of that number on the other side."""

        def remote(*args, **kwargs):
            return self.call(number, args, kwargs)

        remote.number, remote.wire = number, self
        return remote

    def _failed(self, error):
        if (number := getattr(error, "number_there", None)) is not None:
            return {"kind": "raise", "back": number}  # it is the other side's own, passed through
        number = self._number()
        self._raised[number] = error
        told = [a for a in error.args if type(a) in _PLAIN]
        told = told if len(told) == len(error.args) else [str(error)]
        name = next(c.__name__ for c in type(error).__mro__ if c.__module__ == "builtins")
        return {"kind": "raise", "own": number, "builtin": name, "name": type(error).__name__, "args": told,
                "line": self.line(error)}  # fmt: skip

    def _error(self, frame):
        if frame.get("back") in self._raised:
            return self._raised[frame["back"]]
        kind = getattr(builtins, str(frame.get("builtin")), None)
        if not (isinstance(kind, type) and issubclass(kind, BaseException)):
            kind = Exception
        try:
            if frame["name"] != kind.__name__:
                kind = type(str(frame["name"]), (kind,), {})
            error = kind(*frame["args"])
        except Exception:  # those that want arguments of their own
            error = type(str(frame["name"]), (Exception,), {})(*map(str, frame["args"]))
        error.number_there, error.learners_line = frame["own"], frame.get("line")
        return error

    # graphs -----------------------------------------------------------------------------------------------------------

    def _number(self):
        self._next += 2
        return self._next

    def encode(self, value):
        """A value, and all that hangs on it, as a table of objects that refer to one another by number."""
        table, blobs, waiting = {}, [], []

        def refer(thing):
            if thing is None or type(thing) in _PLAIN:
                return thing
            number = self._numbers.get(id(thing))
            if number is None:
                number = self._number()
                self._numbers[id(thing)], self._objects[number] = number, thing
            if number not in table:
                table[number] = None
                waiting.append((number, thing))
            return [number]

        root = refer(value)
        while waiting:
            number, thing = waiting.pop()
            table[number] = self._described(thing, refer, blobs)
        return {"root": root, "table": list(table.items()), "blobs": blobs}

    def _described(self, thing, refer, blobs):
        if isinstance(thing, np.ndarray) and not thing.dtype.hasobject:
            return self._array(thing, refer, blobs)
        if isinstance(thing, np.generic) and not thing.dtype.hasobject:
            blobs.append(thing.tobytes())
            return {"is": "scalar", "dtype": thing.dtype.str, "blob": len(blobs) - 1}
        for kind, name in ((list, "list"), (tuple, "tuple"), (set, "set"), (frozenset, "frozenset")):
            if isinstance(thing, kind):
                return {"is": name, "items": [refer(item) for item in thing]}
        if isinstance(thing, dict):
            return {"is": "dict", "items": [[refer(key), refer(item)] for key, item in thing.items()]}
        if isinstance(thing, complex):
            return {"is": "complex", "parts": [thing.real, thing.imag]}
        if isinstance(thing, slice):
            return {"is": "slice", "items": [refer(part) for part in (thing.start, thing.stop, thing.step)]}
        if isinstance(thing, np.random.Generator):
            return {"is": "generator", "state": refer(thing.bit_generator.state)}
        if given := next((c for c in type(thing).__mro__ if self.classes.get(c.__name__) is c), None):
            # Of a class made from a given one, its own methods go along, as functions of this side.
            own = [k for c in type(thing).__mro__[: type(thing).__mro__.index(given)] for k in vars(c) if k[:2] != "__"]
            items = {**vars(thing), **{k: getattr(thing, k) for k in own}}
            return {"is": given.__name__, "items": [[refer(k), refer(v)] for k, v in items.items()]}
        if getattr(thing, "wire", None) is self:
            return {"is": "yours", "function": thing.number}
        if callable(thing):
            return {"is": "function", "function": self.offer(thing)}
        return {"is": "other", "name": type(thing).__name__}

    def _array(self, array, refer, blobs):
        root = array
        while isinstance(root.base, np.ndarray):
            root = root.base
        form = {"dtype": array.dtype.str, "shape": array.shape, "writable": bool(array.flags.writeable)}
        if root is array or not (root.flags.c_contiguous or root.flags.f_contiguous) or not array.size:
            order = "F" if array.flags.f_contiguous and not array.flags.c_contiguous else "C"
            blobs.append(array.tobytes(order))
            return {"is": "array", **form, "order": order, "blob": len(blobs) - 1}
        offset = array.__array_interface__["data"][0] - root.__array_interface__["data"][0]
        return {"is": "view", **form, "root": refer(root), "offset": offset, "strides": array.strides}

    def decode(self, graph):
        """The value that was encoded; objects that are known on this side are brought up to date and stay themselves."""
        try:
            table, made = dict(map(tuple, graph["table"])), {}
            for number, entry in table.items():
                if entry["is"] not in ("tuple", "frozenset", "set", "slice", "view"):
                    made[number] = self._shell(number, entry, graph["blobs"])

            def find(reference):
                if not isinstance(reference, list):
                    return reference
                (number,) = reference
                if number not in made:
                    made[number] = self._late(number, table[number], find)
                return made[number]

            for number in table:
                find([number])
            # Generators last: what they take over is a dict, which must have been filled before.
            for number, entry in sorted(table.items(), key=lambda item: item[1]["is"] == "generator"):
                self._fill(made[number], entry, find)
            return find(graph["root"])
        except (KeyError, ValueError, TypeError, IndexError, AttributeError, RecursionError) as error:
            raise Gone from error

    def _know(self, number, thing):
        self._objects[number], self._numbers[id(thing)] = thing, number
        return thing

    def _shell(self, number, entry, blobs):
        """The object of an entry, still empty where it holds others."""
        kind, known = entry["is"], self._objects.get(number)
        if kind == "array":
            found = np.frombuffer(blobs[entry["blob"]], np.dtype(entry["dtype"]))
            found = found.reshape(entry["shape"], order=entry["order"])
            if isinstance(known, np.ndarray) and (known.shape, known.dtype) == (found.shape, found.dtype):
                if known.tobytes() != found.tobytes() and known.flags.writeable:
                    known[...] = found
                return known
            found = found.copy(order=entry["order"])
            found.flags.writeable = entry["writable"]
            return self._know(number, found)
        if kind == "scalar":
            return np.frombuffer(blobs[entry["blob"]], np.dtype(entry["dtype"]))[0]
        if kind == "complex":
            return complex(*entry["parts"])
        if kind == "function":
            return known or self._know(number, self.proxy(entry["function"]))
        if kind == "yours":
            return self._functions[entry["function"]]
        if kind == "other":
            return self._know(number, type(str(entry["name"]), (), {})())
        if known is not None:
            return known
        if kind == "generator":
            return self._know(number, np.random.default_rng(0))
        made = {"list": list, "dict": dict}.get(kind)
        cls = self.classes.get(kind)
        return self._know(number, made() if made else cls.__new__(cls))

    def _late(self, number, entry, find):
        """The object of an entry that has to be made of others."""
        known = self._objects.get(number)
        if entry["is"] == "view":
            root, form = find(entry["root"]), np.dtype(entry["dtype"])
            view = np.ndarray(tuple(entry["shape"]), form, root.data if root.flags.c_contiguous else root.T.data,
                              entry["offset"], tuple(entry["strides"]))  # fmt: skip
            if isinstance(known, np.ndarray):
                return known
            view.flags.writeable = bool(entry["writable"] and root.flags.writeable)
            return self._know(number, view)
        items = [find(item) for item in entry["items"]]
        if entry["is"] == "set":
            if isinstance(known, set):
                known.clear()
                known.update(items)
                return known
            return self._know(number, set(items))
        if entry["is"] == "slice":
            return slice(*items)
        same = known is not None and len(known) == len(items) and all(a is b for a, b in zip(known, items, strict=True))
        return known if same else self._know(number, {"tuple": tuple, "frozenset": frozenset}[entry["is"]](items))

    def _fill(self, thing, entry, find):
        kind = entry["is"]
        if kind == "list":
            thing[:] = [find(item) for item in entry["items"]]
        elif kind == "dict":
            items = [(find(key), find(item)) for key, item in entry["items"]]
            thing.clear()
            thing.update(items)
        elif kind == "generator":
            state = find(entry["state"])
            if thing.bit_generator.state["bit_generator"] != state["bit_generator"]:
                raise ValueError("another kind of generator")
            thing.bit_generator.state = state
        elif kind in self.classes:
            items = {find(key): find(item) for key, item in entry["items"]}
            vars(thing).clear()
            vars(thing).update((k, v) for k, v in items.items() if getattr(v, "__self__", None) is not thing)
