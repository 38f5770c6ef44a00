"""Bounded reading and tallied writing of the container's bytes.

Every read of a file passes through `ByteReader`. Where it fails, it says what it wanted, how many bytes, and
what it got; every failure is a `ContainerError`. Reader and writer keep the same tally of bits by kind, so
that a size report counts the real bytes. A few bytes can announce a tensor of gigabytes, so the memory that a
file asks for is charged to a `MemoryBudget` before it is allocated.
"""

from __future__ import annotations

from collections import Counter

# What the bits of a record are spent on; `container.TensorSizes` explains each.
KINDS = ("header", "codebook", "table", "values", "index", "dense", "padding", "checksum")


class ContainerError(ValueError):
    """A container that is damaged, hostile or of another version; the message names tensor and field."""


class ByteWriter:
    """A list of byte strings to be joined, with a tally of their bits by kind; large parts are not copied."""

    def __init__(self) -> None:
        self.parts: list[bytes | memoryview] = []
        self.n_bytes = 0
        self.bits: Counter[str] = Counter()

    def put(self, data: bytes | memoryview, kind: str = "header", padding_bits: int = 0) -> None:
        """Append `data`, the last `padding_bits` bits of which only fill the last byte."""
        self.parts.append(data)
        self.n_bytes += len(data)
        self.bits[kind] += 8 * len(data) - padding_bits
        self.bits["padding"] += padding_bits

    def varint(self, value: int, kind: str = "header") -> None:
        """Append an integer >= 0: 7 bits per byte, lowest first, the top bit set in all but the last byte."""
        data = bytearray()
        while value > 0x7F:
            data.append(value & 0x7F | 0x80)
            value >>= 7
        data.append(value)
        self.put(bytes(data), kind)

    def append(self, other: ByteWriter) -> None:
        """Append what another writer holds, with its tally."""
        self.parts += other.parts
        self.n_bytes += other.n_bytes
        self.bits += other.bits


class MemoryBudget:
    """The memory, in bytes, that a file's tensors may still take."""

    def __init__(self, n_bytes: int) -> None:
        self.n_left = n_bytes


class ByteReader:
    """A bounded reader of `data`; `where` (a tensor's name) begins every message.

    Parameters
    ----------
    data : bytes-like
        What may be read, and nothing else.
    where : str
        What the bytes belong to, for messages.
    budget : MemoryBudget or None
        What `charge` takes from; None: there is no limit.
    """

    def __init__(self, data: bytes | memoryview, where: str, budget: MemoryBudget | None = None) -> None:
        self._data = memoryview(data).cast("B")
        self._at = 0
        self._budget = budget
        self.where = where
        self.bits: Counter[str] = Counter()

    @property
    def n_left(self) -> int:
        """Bytes not read yet."""
        return len(self._data) - self._at

    def error(self, field: str, got: object, expected: str) -> ContainerError:
        """Return the error to raise for a field."""
        return ContainerError(f"{self.where}: {field}: got {got}, expected {expected}")

    def charge(self, n_bytes: int, field: str) -> None:
        """Subtract from the budget the memory that a field is about to need; a negative number gives it back.

        Raises
        ------
        ContainerError
            When less is left.
        """
        if self._budget is None:
            return
        if n_bytes > self._budget.n_left:
            got, expected = (
                f"{n_bytes} bytes of memory",
                f"at most {self._budget.n_left}; raise max_dense_bytes",
            )
            raise self.error(field, got, expected)
        self._budget.n_left -= n_bytes

    def take(self, n_bytes: int, field: str, kind: str = "header", padding_bits: int = 0) -> memoryview:
        """Return the next `n_bytes` bytes, the last `padding_bits` bits of which only fill the last byte.

        Raises
        ------
        ContainerError
            When fewer bytes are left; the message names `field`.
        """
        if n_bytes > self.n_left:
            raise self.error(field, f"{self.n_left} bytes", f"{n_bytes} bytes; the data is damaged")
        part = self._data[self._at : self._at + n_bytes]
        self._at += n_bytes
        self.bits[kind] += 8 * n_bytes - padding_bits
        self.bits["padding"] += padding_bits
        return part

    def rest(self) -> memoryview:
        """Return the bytes not read yet, without moving on."""
        return self._data[self._at :]

    def byte(self, field: str, kind: str = "header", *, most: int = 255) -> int:
        """Return the next byte, at most `most`."""
        value = self.take(1, field, kind)[0]
        if value > most:
            raise self.error(field, value, f"at most {most}")
        return value

    def varint(self, field: str, kind: str = "header", *, most: int) -> int:
        """Return the next integer, at most `most`; refuse one that is written in more bytes than it needs."""
        value = shift = 0
        while True:
            byte = self.take(1, field, kind)[0]
            value |= (byte & 0x7F) << shift
            if value > most:
                raise self.error(field, value, f"at most {most}")
            if byte < 0x80:
                break
            shift += 7
            if shift == 63:
                raise self.error(field, "more than nine bytes", "an integer of at most nine bytes")
        if byte == 0 and shift:
            raise self.error(field, "leading zero bytes", "the shortest spelling")
        return value

    def done(self) -> None:
        """Raise ContainerError when bytes are left over."""
        if self.n_left:
            raise self.error("end", f"{self.n_left} bytes more", "nothing more")
