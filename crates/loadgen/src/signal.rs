//! The signal WebSocket of one client (`/rtc/v1`, single peer connection), non-blocking.

use std::io::ErrorKind;
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, RawFd};

use prost::Message as _;
use tungstenite::handshake::MidHandshake;
use tungstenite::handshake::client::ClientHandshake;
use tungstenite::http::Uri;
use tungstenite::{ClientRequestBuilder, HandshakeError, Message, WebSocket};

use crate::proto::{JoinRequest, Request, Response, SignalRequest, SignalResponse, WrappedJoinRequest};
use crate::token::base64url;

enum State {
    Handshake(Box<MidHandshake<ClientHandshake<TcpStream>>>),
    Open(Box<WebSocket<TcpStream>>),
    /// Only while a transition runs, and after an error.
    Closed,
}

pub struct Signal {
    fd: RawFd,
    state: State,
}

impl Signal {
    /// Start connecting. LiveKit joins the room before it upgrades, so the handshake itself takes a while: poll.
    pub fn connect(server: SocketAddr, token: &str, join: &JoinRequest) -> Result<Signal, String> {
        let wrapped = WrappedJoinRequest { compression: 0, join_request: join.encode_to_vec() };
        // LiveKit's server insists on the padding.
        let mut parameter = base64url(&wrapped.encode_to_vec());
        while parameter.len() % 4 != 0 {
            parameter.push('=');
        }
        let uri: Uri = format!("ws://{server}/rtc/v1?join_request={parameter}")
            .parse()
            .map_err(|error| format!("join request does not fit into an address: {error}"))?;
        let request = ClientRequestBuilder::new(uri).with_header("Authorization", format!("Bearer {token}"));
        let stream = TcpStream::connect(server).map_err(|error| format!("connect to {server}: {error}"))?;
        stream.set_nodelay(true).map_err(|error| error.to_string())?;
        stream.set_nonblocking(true).map_err(|error| error.to_string())?;
        let fd = stream.as_raw_fd();
        let state = match tungstenite::client(request, stream) {
            Ok((socket, _)) => State::Open(Box::new(socket)),
            Err(HandshakeError::Interrupted(middle)) => State::Handshake(Box::new(middle)),
            Err(HandshakeError::Failure(error)) => return Err(refusal(error)),
        };
        Ok(Signal { fd, state })
    }

    pub fn fd(&self) -> RawFd {
        self.fd
    }

    /// The next message, `None` when there is nothing more to read now.
    pub fn poll(&mut self) -> Result<Option<Response>, String> {
        self.advance_handshake()?;
        let State::Open(socket) = &mut self.state else { return Ok(None) };
        loop {
            match socket.read() {
                Ok(Message::Binary(bytes)) => {
                    let decoded = SignalResponse::decode(bytes).map_err(|error| format!("signal message: {error}"))?;
                    if let Some(response) = decoded.message {
                        return Ok(Some(response));
                    }
                }
                Ok(Message::Close(frame)) => return Err(format!("signal closed by the server: {frame:?}")),
                Ok(_) => {}
                Err(tungstenite::Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => return Ok(None),
                Err(error) => return Err(format!("signal: {error}")),
            }
        }
    }

    pub fn send(&mut self, request: Request) -> Result<(), String> {
        let State::Open(socket) = &mut self.state else { return Err("signal is not open".into()) };
        let bytes = SignalRequest { message: Some(request) }.encode_to_vec();
        match socket.send(Message::Binary(bytes.into())) {
            Ok(()) => Ok(()),
            // Queued inside the socket; the next poll flushes it.
            Err(tungstenite::Error::Io(error)) if error.kind() == ErrorKind::WouldBlock => Ok(()),
            Err(error) => Err(format!("signal: {error}")),
        }
    }

    fn advance_handshake(&mut self) -> Result<(), String> {
        if !matches!(self.state, State::Handshake(_)) {
            return Ok(());
        }
        let State::Handshake(middle) = std::mem::replace(&mut self.state, State::Closed) else { return Ok(()) };
        match middle.handshake() {
            Ok((socket, _)) => self.state = State::Open(Box::new(socket)),
            Err(HandshakeError::Interrupted(middle)) => self.state = State::Handshake(Box::new(middle)),
            Err(HandshakeError::Failure(error)) => return Err(refusal(error)),
        }
        Ok(())
    }
}

fn refusal(error: tungstenite::Error) -> String {
    match error {
        tungstenite::Error::Http(response) => {
            let body = response.body().as_deref().map(String::from_utf8_lossy).unwrap_or_default().into_owned();
            format!("join refused: {} {body}", response.status())
        }
        other => format!("join failed: {other}"),
    }
}
