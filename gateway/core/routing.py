"""Which route a request is about: look-up of path templates by their most specific match.

A template is `/segment/{parameter}/…`; a parameter stands for one whole, non-empty segment. A literal segment wins
over a parameter, and a route with hosts over one without: the order in the file decides nothing, and two
templates of which neither is the more specific (`overlap`) are an error of the policy.
"""

from collections.abc import Iterable, Mapping

type Entry[T] = tuple[frozenset[str], str, frozenset[str] | None, T]
"""Methods, path template, hosts (None: any), and what to find."""


class _Node[T]:
    __slots__ = ("literals", "methods", "parameter")

    def __init__(self) -> None:
        self.literals: dict[str, _Node[T]] = {}
        self.parameter: _Node[T] | None = None
        self.methods: dict[str, T] = {}


class _Root[T]:
    """The templates of one host, or of any."""

    __slots__ = ("exact", "node")

    def __init__(self) -> None:
        self.exact: dict[str, dict[str, T]] = {}
        """Templates without parameters: where one is the path, the tree leads to no other."""
        self.node: _Node[T] = _Node()

    def add(self, methods: frozenset[str], template: str, value: T) -> None:
        node, segments = self.node, template[1:].split("/")
        for segment in segments:
            if is_parameter(segment):
                node.parameter = node.parameter or _Node()
                node = node.parameter
            else:
                node = node.literals.setdefault(segment, _Node())
        for method in methods:
            if method in node.methods:
                raise ValueError(f"two routes for {method} {template}")
            node.methods[method] = value
        if not any(map(is_parameter, segments)):
            self.exact[template] = node.methods

    def find(self, path: str) -> dict[str, T] | None:
        return self.exact.get(path) or _walk(self.node, path[1:].split("/"), 0)


class RouteTable[T]:
    """Finds what stands for a host and path; the cost grows with the path's segments, not with the routes."""

    def __init__(self, entries: Iterable[Entry[T]]) -> None:
        self._any_host: _Root[T] = _Root()
        self._hosts: dict[str, _Root[T]] = {}
        for methods, template, hosts, value in entries:
            roots = [self._any_host] if hosts is None else [self._hosts.setdefault(host, _Root()) for host in hosts]
            for root in roots:
                root.add(methods, template, value)

    def find(self, host: str, path: str) -> Mapping[str, T] | None:
        """Give what stands for each method at host and path; None where nothing does."""
        root = self._hosts.get(host)
        found = root.find(path) if root is not None else None
        return found or self._any_host.find(path)


def _walk[T](node: _Node[T], segments: list[str], depth: int) -> dict[str, T] | None:
    if depth == len(segments):
        return node.methods or None
    segment = segments[depth]
    literal = node.literals.get(segment)
    if literal is not None:
        found = _walk(literal, segments, depth + 1)
        if found is not None:
            return found
    if node.parameter is not None and segment:
        return _walk(node.parameter, segments, depth + 1)
    return None


def is_parameter(segment: str) -> bool:
    """Whether a template's segment is a parameter."""
    return segment.startswith("{") and segment.endswith("}")


def overlap(one: str, other: str) -> bool:
    """Whether some path fits both templates and neither is the more specific one."""
    left, right = one[1:].split("/"), other[1:].split("/")
    if len(left) != len(right):
        return False
    more_specific_left = more_specific_right = False
    for a, b in zip(left, right, strict=True):
        if is_parameter(a) and not is_parameter(b):
            more_specific_right = True
        elif is_parameter(b) and not is_parameter(a):
            more_specific_left = True
        elif a != b and not is_parameter(a):
            return False
    return more_specific_left == more_specific_right
