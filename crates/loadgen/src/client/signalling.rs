//! What a participant and the server say to each other: tracks, offers and answers.

use std::time::{Duration, Instant};

use super::Client;
use crate::media::{Negotiated, VideoShape};
use crate::proto::{
    AddTrackRequest, ClientInfo, ConnectionSettings, JoinRequest, Request, Response, SessionDescription, VideoLayer,
};
use crate::sdp::{self, Answer, Kind, Section};

/// LiveKit's protocol number of the newest server release.
const PROTOCOL: i32 = 17;

impl Client {
    pub(super) fn on_response(&mut self, response: Response, now: Instant) -> Result<(), String> {
        match response {
            Response::Join(join) => {
                self.times.joined = Some(now);
                self.server_version = join.server_info.map(|info| info.version).unwrap_or_default();
                self.ping_interval = u64::try_from(join.ping_interval).ok().filter(|s| *s > 0).map(Duration::from_secs);
                self.next_ping = now + self.ping_interval.unwrap_or_default();
                self.announce_tracks()?;
            }
            Response::Answer(answer) => self.on_answer(&answer, now)?,
            Response::Trickle(trickle) => {
                if let Some(candidate) = candidate_of(&trickle.candidate_init) {
                    self.transport.add_candidate(candidate);
                }
            }
            Response::TrackPublished(_) => {
                self.tracks_accepted += 1;
                if self.tracks_accepted == self.tracks.len() {
                    let sends = self.tracks.iter().map(|track| Section::Send {
                        kind: track.kind,
                        cid: track.cid.clone(),
                        ssrc: track.ssrc,
                        rtx_ssrc: track.rtx_ssrc,
                    });
                    self.sections.extend(sends);
                    self.offer_wanted = true;
                }
            }
            Response::MediaSections(needed) => {
                let more = |kind, count: u32| std::iter::repeat_n(Section::Receive(kind), count as usize);
                self.sections.extend(more(Kind::Audio, needed.num_audios));
                self.sections.extend(more(Kind::Video, needed.num_videos));
                self.offer_wanted = true;
            }
            Response::Leave(leave) => return Err(format!("the server said leave, reason {}", leave.reason)),
            Response::RequestResponse(result) if result.reason != 0 => {
                return Err(format!("request refused: {} {}", result.reason, result.message));
            }
            Response::RequestResponse(_) => {}
        }
        self.offer_if_wanted()
    }

    fn announce_tracks(&mut self) -> Result<(), String> {
        for track in &self.tracks {
            let video = track.kind == Kind::Video;
            let request = AddTrackRequest {
                cid: track.cid.clone(),
                name: if video { "camera" } else { "microphone" }.to_owned(),
                r#type: i32::from(video),
                width: if video { 1280 } else { 0 },
                height: if video { 720 } else { 0 },
                source: if video { 1 } else { 2 },
                layers: if video { vec![video_layer(self.role.shape)] } else { Vec::new() },
                disable_red: !self.role.red,
            };
            self.signal.send(Request::AddTrack(request))?;
        }
        Ok(())
    }

    fn offer_if_wanted(&mut self) -> Result<(), String> {
        if self.offer_pending || !self.offer_wanted {
            return Ok(());
        }
        self.offer_id += 1;
        self.offer_pending = true;
        self.offer_wanted = false;
        let sdp = sdp::offer(&self.local, self.offer_id, &self.sections);
        let offer = SessionDescription { r#type: "offer".into(), sdp, id: self.offer_id, ..Default::default() };
        self.signal.send(Request::Offer(offer))
    }

    fn on_answer(&mut self, description: &SessionDescription, now: Instant) -> Result<(), String> {
        if description.id != self.offer_id {
            return Ok(());
        }
        self.offer_pending = false;
        let answer = Answer::parse(&description.sdp)?;
        self.transport.apply(&answer, now)?;
        for (section, answered) in self.sections.iter().zip(&answer.sections) {
            match section {
                Section::Data => {}
                Section::Receive(_) => {
                    self.inbound.twcc_wanted |= answered.twcc_extension && answered.twcc_feedback;
                    self.inbound.remb_wanted |= answered.remb_feedback;
                }
                Section::Send { ssrc, .. } => {
                    let Some(track) = self.tracks.iter_mut().find(|track| track.ssrc == *ssrc) else { continue };
                    if answered.rejected {
                        return Err(format!("the server rejected the section of {}", track.cid));
                    }
                    if track.negotiated.is_none() {
                        track.next = now + self.role.phase;
                    }
                    track.negotiated = Some(Negotiated {
                        mid: answered.mid.clone(),
                        mid_extension: answered.mid_extension,
                        twcc: answered.twcc_extension,
                        audio_level: answered.audio_level_extension,
                    });
                }
            }
        }
        Ok(())
    }
}

fn video_layer(shape: VideoShape) -> VideoLayer {
    let bits = shape.packets_per_frame * shape.payload * 8;
    VideoLayer { quality: 2, width: 1280, height: 720, bitrate: bits as u32 * shape.fps }
}

pub(super) fn join_request(subscribe: bool, sdp: String) -> JoinRequest {
    JoinRequest {
        client_info: Some(ClientInfo {
            sdk: 8,
            version: env!("CARGO_PKG_VERSION").into(),
            protocol: PROTOCOL,
            os: "linux".into(),
            client_protocol: 1,
        }),
        connection_settings: Some(ConnectionSettings { auto_subscribe: subscribe, adaptive_stream: false }),
        publisher_offer: Some(SessionDescription { r#type: "offer".into(), sdp, id: 1, ..Default::default() }),
    }
}

/// The `candidate` member of an RTCIceCandidateInit, whose value never needs JSON escapes.
fn candidate_of(json: &str) -> Option<&str> {
    let (_, rest) = json.split_once("\"candidate\"")?;
    let (_, rest) = rest.split_once('"')?;
    rest.split('"').next().filter(|candidate| !candidate.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_candidate_is_found_in_the_json_of_a_trickle() {
        let json = r#"{"candidate":"candidate:1 1 udp 1 127.0.0.1 7882 typ host","sdpMid":"0","sdpMLineIndex":0}"#;
        assert_eq!(candidate_of(json), Some("candidate:1 1 udp 1 127.0.0.1 7882 typ host"));
        assert_eq!(candidate_of(r#"{"candidate": "","sdpMid":"0"}"#), None);
        assert_eq!(candidate_of("{}"), None);
    }
}
