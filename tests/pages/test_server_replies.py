"""Replies to a browser that wait to be sent while a run of the page begins."""

from __future__ import annotations

from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime.forward_msg_queue import ForwardMsgQueue

from pages.parts.server_replies import REPLIES, ReplyKeepingQueue


def waiting() -> ReplyKeepingQueue:
    """Return a queue in which a part of the page and each kind of reply wait."""
    queue = ReplyKeepingQueue()
    part, upload, download = ForwardMsg(), ForwardMsg(), ForwardMsg()
    part.delta.new_element.text.body = "a line of the page"
    part.metadata.delta_path[:] = [0, 0]
    upload.file_urls_response.response_id = "upload"
    download.backend_operation_response.request_id = "download"
    for message in (part, upload, download):
        queue.enqueue(message)
    return queue


def kinds(queue: ForwardMsgQueue) -> list[str | None]:
    """Return the types of the messages that are sent next."""
    return [message.WhichOneof("type") for message in queue.flush()]


def test_a_run_drops_no_reply() -> None:
    """Where to upload a file and a file to download are sent though a run of the page begins just before."""
    queue = waiting()
    queue.clear(retain_lifecycle_msgs=True)
    again = ForwardMsg()
    again.delta.new_element.text.body = "the line, drawn again"
    again.metadata.delta_path[:] = [0, 0]
    queue.enqueue(again)
    assert kinds(queue) == ["file_urls_response", "backend_operation_response", "delta"]


def test_a_run_of_a_part_sends_each_reply_once() -> None:
    """The run of a part alone, which Streamlit lets drop little, sends no reply twice."""
    queue = waiting()
    queue.clear(retain_lifecycle_msgs=True, fragment_ids_this_run=["part"])
    assert sorted(map(str, kinds(queue))) == ["backend_operation_response", "delta", "file_urls_response"]


def test_everything_is_dropped_once_sent() -> None:
    """What was sent is not sent again."""
    queue = waiting()
    assert len(queue.flush()) == 3
    assert queue.is_empty()


def test_streamlit_has_these_replies() -> None:
    """Each kind of reply that is kept is one of Streamlit's messages."""
    assert {field.name for field in ForwardMsg.DESCRIPTOR.oneofs_by_name["type"].fields} >= REPLIES
