//! The `SignalHub` and `SignalSocket` classes of `_native.pyi`.

use std::time::Duration;

use auralink_media_net::signal::{
    Incoming, Received, SignalBytes, SignalHub as NetHub, SignalLimits, SignalMessage, SignalSocket as NetSocket,
};
use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::pybacked::PyBackedBytes;
use pyo3::types::{PyBytes, PyString};

/// The signal connections of a process.
#[pyclass(frozen, module = "auralink._native")]
pub struct SignalHub {
    hub: NetHub,
}

#[pymethods]
impl SignalHub {
    #[new]
    #[pyo3(signature = (*, message_bytes, queued_bytes, burst, per_s, silence_s))]
    fn new(message_bytes: usize, queued_bytes: usize, burst: u32, per_s: u32, silence_s: f64) -> PyResult<SignalHub> {
        let silence = Duration::try_from_secs_f64(silence_s)
            .map_err(|_| PyValueError::new_err(format!("not a time in seconds: {silence_s}")))?;
        let hub = NetHub::start(SignalLimits { message_bytes, queued_bytes, burst, per_s, silence })?;
        Ok(SignalHub { hub })
    }

    fn fileno(&self) -> i32 {
        self.hub.event_fd()
    }

    fn drain<'py>(&self, py: Python<'py>, max_messages: usize) -> Vec<(u64, Option<Bound<'py, PyAny>>)> {
        let mut received = Vec::new();
        self.hub.drain(max_messages, &mut received);
        let known = |Received { socket, incoming }| match incoming {
            Incoming::Binary(bytes) => (socket.0, Some(PyBytes::new(py, &bytes).into_any())),
            Incoming::Text(text) => (socket.0, Some(PyString::new(py, &text).into_any())),
            Incoming::Over => (socket.0, None),
        };
        received.into_iter().map(known).collect()
    }

    fn adopt(&self, fd: i32, head: Vec<u8>) -> PyResult<SignalSocket> {
        Ok(SignalSocket { socket: self.hub.adopt(fd, head)? })
    }

    fn close(&self, py: Python<'_>) {
        py.detach(|| self.hub.close());
    }
}

/// One signal connection.
#[pyclass(frozen, module = "auralink._native")]
pub struct SignalSocket {
    socket: NetSocket,
}

#[derive(FromPyObject)]
enum Message {
    /// Not copied: what a room is told is one object for all who are told.
    Binary(PyBackedBytes),
    Text(String),
}

#[pymethods]
impl SignalSocket {
    #[getter]
    fn id(&self) -> u64 {
        self.socket.id().0
    }

    fn send(&self, message: Message) -> bool {
        self.socket.send(match message {
            Message::Binary(bytes) => SignalMessage::Binary(SignalBytes::from_owner(bytes)),
            Message::Text(text) => SignalMessage::Text(text.into()),
        })
    }

    fn close(&self, code: u16) {
        self.socket.close(code);
    }

    fn silent_for_s(&self) -> f64 {
        self.socket.silent_for().as_secs_f64()
    }
}
