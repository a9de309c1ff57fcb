"""Keep the server's replies to a browser while a run of the page begins.

A browser asks the server where to upload a file, and for a file that a click on a download button makes. The reply
waits with the page's messages until they are sent, at most a few milliseconds later. When a run of the page begins,
Streamlit drops what waits, because the run draws all of it again; it drops the replies as well, and nothing repeats
them. A dropped image was then lost without a word, which happened on a busy machine while the page was refreshing.

Streamlit has no option for it, so its queue is replaced.
"""

from __future__ import annotations

from streamlit.runtime import app_session
from streamlit.runtime.forward_msg_queue import ForwardMsgQueue

REPLIES = {"file_urls_response", "backend_operation_response"}
"""Types of messages that answer a request of the browser."""


class ReplyKeepingQueue(ForwardMsgQueue):
    """The messages of a session that wait to be sent; the beginning of a run drops no reply."""

    def clear(
        self, retain_lifecycle_msgs: bool = False, fragment_ids_this_run: list[str] | None = None
    ) -> None:
        """Drop what the run that begins draws again. retain_lifecycle_msgs: False drops everything."""
        waiting = self._queue
        super().clear(retain_lifecycle_msgs, fragment_ids_this_run)
        if retain_lifecycle_msgs:
            self._queue += [
                message
                for message in waiting
                if message.WhichOneof("type") in REPLIES and not any(message is kept for kept in self._queue)
            ]


def keep_replies() -> None:
    """Give each session that is opened from now on a queue that keeps replies."""
    app_session.ForwardMsgQueue = ReplyKeepingQueue  # type: ignore[attr-defined]
