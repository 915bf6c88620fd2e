"""Protobuf messages of any content, as Hypothesis strategies: every field of every kind, to a bounded depth."""

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from hypothesis import strategies as st

M = TypeVar("M", bound=Message)

_DEPTH = 3
_LONGEST_LIST = 3

_INTEGERS = {
    FieldDescriptor.CPPTYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    FieldDescriptor.CPPTYPE_INT64: st.integers(-(2**63), 2**63 - 1),
    FieldDescriptor.CPPTYPE_UINT32: st.integers(0, 2**32 - 1),
    FieldDescriptor.CPPTYPE_UINT64: st.integers(0, 2**64 - 1),
}


def messages(kind: type[M], words: Sequence[str]) -> st.SearchStrategy[M]:
    """`words` are the texts that mean something to whom is told: sids, identities."""
    return st.composite(lambda draw: _filled(draw, kind(), words, _DEPTH))()


def with_field(kind: type[M], field: FieldDescriptor, words: Sequence[str]) -> st.SearchStrategy[M]:
    """Messages in which this field alone is set."""

    def make(draw: Callable[..., Any]) -> M:
        message = kind()
        _set(draw, message, field, words, _DEPTH)
        return message

    return st.composite(make)()


def _filled(draw: Callable[..., Any], message: M, words: Sequence[str], depth: int) -> M:
    for field in message.DESCRIPTOR.fields:
        if draw(st.booleans()):
            _set(draw, message, field, words, depth)
    return message


def _set(draw: Callable[..., Any], message: Message, field: FieldDescriptor, words: Sequence[str], depth: int) -> None:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        for key in draw(st.lists(st.text(max_size=5), max_size=2)):
            if field.message_type.fields_by_name["value"].message_type is None:
                getattr(message, field.name)[key] = draw(_scalar(field.message_type.fields_by_name["value"], words))
    elif field.message_type is not None:
        values = getattr(message, field.name)
        if depth == 0:
            return
        if field.is_repeated:
            for _ in range(draw(st.integers(0, _LONGEST_LIST))):
                _filled(draw, values.add(), words, depth - 1)
        else:
            values.SetInParent()
            _filled(draw, values, words, depth - 1)
    elif field.is_repeated:
        getattr(message, field.name).extend(draw(st.lists(_scalar(field, words), max_size=_LONGEST_LIST)))
    else:
        setattr(message, field.name, draw(_scalar(field, words)))


def _scalar(field: FieldDescriptor, words: Sequence[str]) -> st.SearchStrategy[Any]:
    match field.cpp_type:
        case FieldDescriptor.CPPTYPE_STRING if field.type == FieldDescriptor.TYPE_BYTES:
            return st.binary(max_size=64)
        case FieldDescriptor.CPPTYPE_STRING:
            return st.sampled_from(words) | st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
        case FieldDescriptor.CPPTYPE_BOOL:
            return st.booleans()
        case FieldDescriptor.CPPTYPE_FLOAT | FieldDescriptor.CPPTYPE_DOUBLE:
            return st.floats(width=32)
        case FieldDescriptor.CPPTYPE_ENUM:
            return st.sampled_from([value.number for value in field.enum_type.values]) | st.just(99)
        case kind:
            return _INTEGERS[kind] | st.integers(0, 3)
