//! LiveKit's pings (`livekit_rtc.proto`): the two of `SignalRequest`, and their answers of `SignalResponse`.

use std::time::{SystemTime, UNIX_EPOCH};

use prost::Message;

#[derive(Clone, PartialEq, Message)]
struct Request {
    #[prost(int64, optional, tag = "14")]
    ping: Option<i64>,
    #[prost(message, optional, tag = "16")]
    ping_req: Option<Ping>,
}

#[derive(Clone, PartialEq, Message)]
struct Ping {
    /// Milliseconds of the client's clock.
    #[prost(int64, tag = "1")]
    timestamp: i64,
    /// What the last one took, in milliseconds.
    #[prost(int64, tag = "2")]
    rtt: i64,
}

#[derive(Clone, PartialEq, Message)]
struct Response {
    #[prost(int64, optional, tag = "18")]
    pong: Option<i64>,
    #[prost(message, optional, tag = "20")]
    pong_resp: Option<Pong>,
}

#[derive(Clone, PartialEq, Message)]
struct Pong {
    #[prost(int64, tag = "1")]
    last_ping_timestamp: i64,
    /// Milliseconds of our clock.
    #[prost(int64, tag = "2")]
    timestamp: i64,
}

/// No ping is longer.
const MAX_BYTES: usize = 64;

/// The answer to a request that is a ping and nothing else.
pub fn answer(request: &[u8], now_ms: i64) -> Option<Vec<u8>> {
    if request.len() > MAX_BYTES {
        return None;
    }
    let asked = Request::decode(request).ok()?;
    if asked.encoded_len() != request.len() {
        return None; // it has fields that we do not know here
    }
    let response = match asked {
        Request { ping: Some(_), ping_req: None } => Response { pong: Some(now_ms), pong_resp: None },
        Request { ping: None, ping_req: Some(ping) } => {
            let pong = Pong { last_ping_timestamp: ping.timestamp, timestamp: now_ms };
            Response { pong: None, pong_resp: Some(pong) }
        }
        _ => return None,
    };
    Some(response.encode_to_vec())
}

pub fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_pings_are_answered_with_our_time_and_the_newer_with_the_clients() {
        let old = Request { ping: Some(7), ping_req: None }.encode_to_vec();
        let answered = Response::decode(answer(&old, 99).unwrap().as_slice()).unwrap();
        assert_eq!(answered, Response { pong: Some(99), pong_resp: None });

        let new = Request { ping: None, ping_req: Some(Ping { timestamp: 5, rtt: 3 }) }.encode_to_vec();
        let answered = Response::decode(answer(&new, 99).unwrap().as_slice()).unwrap();
        let pong = Pong { last_ping_timestamp: 5, timestamp: 99 };
        assert_eq!(answered, Response { pong: None, pong_resp: Some(pong) });
    }

    #[test]
    fn whatever_is_more_than_a_ping_is_not_answered_here() {
        let ping = Request { ping: Some(7), ping_req: None }.encode_to_vec();
        let leave = [0x42, 0x00];
        assert_eq!(answer(&[], 1), None);
        assert_eq!(answer(&leave, 1), None);
        assert_eq!(answer(&[ping.as_slice(), &leave].concat(), 1), None);
        assert_eq!(answer(&[0xff; 20], 1), None);
        assert_eq!(answer(&[0; 65], 1), None);
    }
}
