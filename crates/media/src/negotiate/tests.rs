use proptest::prelude::*;

use super::*;
use crate::wire::sdp::{Bounds, Description, Direction, Media, Setup};

const BOUNDS: Bounds = Bounds { max_bytes: 256 * 1024, max_sections: 64 };
const CHROMIUM_JOIN: &str = include_str!("../../tests/offers/chromium-156-join.sdp");
const CHROMIUM_PUBLISH: &str = include_str!("../../tests/offers/chromium-156-publish.sdp");
const PYTHON_JOIN: &str = include_str!("../../tests/offers/python-1.2.1-join.sdp");

fn parse(text: &str) -> Description {
    Description::parse(text, &BOUNDS).unwrap()
}

fn local() -> LocalTransport {
    LocalTransport {
        ufrag: "ours".into(),
        pwd: "ourpasswordourpassword".into(),
        sha256: [7; 32],
        candidates: vec![
            (Proto::Udp, "192.0.2.1:7882".parse().unwrap()),
            (Proto::Udp, "[2001:db8::1]:7882".parse().unwrap()),
            (Proto::Tcp, "192.0.2.1:7881".parse().unwrap()),
        ],
        session_id: 9,
        session_version: 3,
    }
}

fn stream(ssrc: u32) -> SendStream {
    SendStream {
        ssrc,
        rtx_ssrc: Some(ssrc + 1),
        cname: "PA_x".into(),
        stream_id: "PA_x|TR_y".into(),
        track_id: "TR_y".into(),
    }
}

fn answered(offer: &str, plans: &[Plan]) -> (Review, Description) {
    let offer = parse(offer);
    let review = review(&offer).unwrap();
    let answer = answer(&offer, &review, &local(), plans);
    (review, parse(&answer.to_string()))
}

#[test]
fn every_first_offer_of_the_official_clients_is_understood() {
    for offer in [CHROMIUM_JOIN, PYTHON_JOIN] {
        let (review, answer) = answered(offer, &[]);
        let kinds: Vec<_> = review.sections.iter().map(|section| section.kind).collect();
        let (audio, video) = (Some(Kind::Audio), Some(Kind::Video));
        assert_eq!(kinds, [audio, audio, audio, video, video, video, None]);
        assert!(review.sections.iter().all(|section| !section.rejected && !section.client_sends));
        assert!(review.sections[..6].iter().all(|section| section.client_receives));
        assert_eq!(answer.bundle, ["0", "1", "2", "3", "4", "5", "6"]);
        assert!(answer.ice_lite && answer.extmap_allow_mixed);
    }
}

#[test]
fn unused_sections_are_inactive_and_every_section_has_the_transport() {
    let (_, answer) = answered(CHROMIUM_JOIN, &[]);
    for section in &answer.sections {
        assert_eq!((&*section.ice_ufrag, section.setup), ("ours", Some(Setup::Passive)));
        assert_eq!(section.candidates.len(), 3);
        assert_eq!(section.candidates[2], "3 1 tcp 1526726143 192.0.2.1 7881 typ host tcptype passive");
        assert_eq!(section.port, 7882);
        assert_eq!(section.fingerprints[0].digest, [7; 32]);
    }
    assert!(answer.sections[..6].iter().all(|section| section.direction == Direction::Inactive && section.rtcp_mux));
    assert_eq!((answer.sections[6].sctp_port, answer.sections[6].max_message_size), (Some(5000), Some(65_535)));
}

#[test]
fn only_codecs_we_forward_are_kept_with_the_offered_payload_types() {
    let (review, answer) = answered(CHROMIUM_JOIN, &[]);
    assert_eq!(answer.sections[0].formats, ["111", "63", "0", "8"]);
    let names: Vec<_> = answer.sections[3].codecs.iter().map(|line| (line.payload_type, line.name.as_str())).collect();
    assert_eq!(names[..4], [(96, "VP8"), (97, "rtx"), (98, "VP9"), (99, "rtx")]);
    assert!(names.iter().all(|(_, name)| ["VP8", "VP9", "H264", "AV1", "rtx"].contains(name)), "{names:?}");
    let video = &review.sections[3];
    assert_eq!(video.accepting(Codec::Vp8).and_then(|codec| codec.rtx), Some(97));
    assert_eq!(video.codecs.iter().filter(|codec| matches!(codec.codec, Codec::Vp9 { .. })).count(), 1);
    assert_eq!(video.by_rtx(97).map(|codec| codec.codec), Some(Codec::Vp8));
    assert_eq!(review.sections[0].by_payload_type(63).and_then(|codec| codec.red_inner), Some(111));
    let constrained = Codec::H264 { profile_level: 0x42_E034, packetization_mode: 1 };
    assert!(video.accepting(constrained).is_some());
    assert!(video.accepting(Codec::H264 { profile_level: 0x7A_0034, packetization_mode: 1 }).is_none());
}

#[test]
fn codecs_that_are_refused_are_in_neither_direction_or_in_the_clients_own_alone() {
    let offer = parse(CHROMIUM_PUBLISH);
    let mut review = review(&offer).unwrap();
    let has = |section: &Reviewed, name: &str| section.codecs.iter().any(|codec| codec.codec.mime() == name);
    let mixed = |review: &Review| {
        let video = || review.sections.iter().filter(|section| section.kind == Some(Kind::Video));
        (video().any(|s| s.client_sends), video().any(|s| !s.client_sends && s.client_receives))
    };
    assert_eq!(mixed(&review), (true, true), "an offer with both");
    review.without_codecs(&["video/av1".into()], &["VIDEO/h264".into()]);
    for section in review.sections.iter().filter(|section| section.kind == Some(Kind::Video)) {
        assert!(!has(section, "video/AV1") && has(section, "video/VP8"));
        assert_eq!(has(section, "video/H264"), !section.client_sends);
    }
    let answer = answer(&offer, &review, &local(), &[]).to_string();
    assert!(!answer.contains("AV1"));
}

#[test]
fn a_section_of_which_no_codec_is_left_is_rejected() {
    let offer = parse(CHROMIUM_JOIN);
    let mut review = review(&offer).unwrap();
    review.without_codecs(&["audio/opus".into(), "audio/red".into(), "audio/PCMU".into(), "audio/PCMA".into()], &[]);
    assert!(review.sections[..3].iter().all(|section| section.rejected && !section.client_receives));
    let answer = parse(&answer(&offer, &review, &local(), &[]).to_string());
    assert_eq!(answer.bundle, ["3", "4", "5", "6"]);
}

#[test]
fn h265_is_kept_where_it_comes_as_one_stream_of_packets() {
    let offer = |parameters: &str| {
        let renamed = CHROMIUM_JOIN.replace("a=rtpmap:98 VP9/90000", "a=rtpmap:98 H265/90000");
        let (review, _) = answered(&renamed.replace("a=fmtp:98 profile-id=0", &format!("a=fmtp:98 {parameters}")), &[]);
        review.sections[3].by_payload_type(98).map(|codec| codec.codec)
    };
    assert_eq!(offer("level-id=93;profile-id=2;tx-mode=SRST"), Some(Codec::H265 { profile: 2 }));
    assert_eq!(offer("level-id=93"), Some(Codec::H265 { profile: 1 }), "Main is the default");
    assert_eq!(offer("profile-id=1;tx-mode=MRST"), None);
}

#[test]
fn feedback_and_extensions_are_cut_to_what_we_use() {
    let (review, answer) = answered(CHROMIUM_PUBLISH, &[]);
    let video = answer.section("7").unwrap();
    assert_eq!(video.codecs[0].feedback, ["transport-cc", "ccm fir", "nack", "nack pli"]);
    assert!(video.extensions.iter().all(|line| !line.uri.contains("playout-delay")));
    let ids = review.sections[7].extensions;
    assert!([ids.mid, ids.rid, ids.repaired_rid, ids.transport_cc].iter().all(|id| *id != 0));
    assert_eq!(ids.abs_send_time, 0, "not beside transport-cc");
    assert_eq!(review.sections[6].extensions.audio_level, 1);
}

#[test]
fn the_capture_time_is_answered_where_it_is_offered() {
    let (review, answer) = answered(&CHROMIUM_PUBLISH.replace("/playout-delay", "/abs-capture-time"), &[]);
    assert_eq!(review.sections[7].extensions.abs_capture_time, 5);
    let line = answer.section("7").unwrap().extensions.iter().find(|line| line.uri.ends_with("/abs-capture-time"));
    assert_eq!(line.map(|line| line.id), Some(5));
}

#[test]
fn the_playout_delay_is_answered_when_there_is_something_to_say_by_it() {
    let offer = parse(CHROMIUM_PUBLISH);
    let mut review = review(&offer).unwrap();
    review.with_playout_delay();
    assert_ne!(review.sections[7].extensions.playout_delay, 0);
    let answer = answer(&offer, &review, &local(), &[]);
    assert!(answer.section("7").unwrap().extensions.iter().any(|line| line.uri.ends_with("/playout-delay")));
}

#[test]
fn simulcast_is_answered_with_the_same_layers() {
    let (review, answer) = answered(CHROMIUM_PUBLISH, &[]);
    let published = &review.sections[7];
    assert_eq!(published.rids, ["q", "h", "f"]);
    assert!(published.client_sends && !published.client_receives);
    let text = answer.section("7").unwrap().to_string();
    for line in ["a=recvonly", "a=rid:q recv", "a=rid:h recv", "a=rid:f recv", "a=simulcast:recv q;h;f"] {
        assert!(text.lines().any(|found| found == line), "{line} missing in\n{text}");
    }
}

#[test]
fn the_clients_track_and_announced_stream_are_reported() {
    let (review, _) = answered(CHROMIUM_PUBLISH, &[]);
    let audio = &review.sections[6];
    assert_eq!(audio.track_id.len(), 36);
    assert_eq!(audio.ssrcs.len(), 1);
    assert_eq!(audio.ssrcs[0].1, None);
    assert_eq!(review.remote.max_message_size, 262_144);
    assert!(review.remote.has_data_section);
}

#[test]
fn a_sent_stream_is_named_and_its_section_sendonly() {
    let plan = Plan { mid: "3".into(), send: Some(stream(1000)), ..Plan::default() };
    let (_, answer) = answered(PYTHON_JOIN, &[plan]);
    let section = answer.section("3").unwrap();
    assert_eq!(section.direction, Direction::SendOnly);
    assert_eq!(section.msid, Some(("PA_x|TR_y".into(), "TR_y".into())));
    assert_eq!(section.ssrc_groups[0].ssrcs, [1000, 1001]);
    assert_eq!(section.ssrcs[1].cname, "PA_x");
    assert_eq!(answer.section("4").unwrap().direction, Direction::Inactive);
}

#[test]
fn nothing_is_sent_where_the_client_does_not_receive() {
    let plan = Plan { mid: "7".into(), send: Some(stream(1000)), ..Plan::default() };
    let (_, answer) = answered(CHROMIUM_PUBLISH, &[plan]);
    assert_eq!(answer.section("7").unwrap().direction, Direction::RecvOnly);
    assert!(answer.section("7").unwrap().ssrcs.is_empty());
}

#[test]
fn a_publisher_without_permission_gets_inactive_sections() {
    let plan = Plan { mid: "7".into(), refuse_receive: true, ..Plan::default() };
    let (_, answer) = answered(CHROMIUM_PUBLISH, &[plan]);
    let section = answer.section("7").unwrap();
    assert_eq!(section.direction, Direction::Inactive);
    assert!(section.rids.is_empty() && section.simulcast.recv.is_empty());
}

#[test]
fn the_wanted_codec_comes_first_with_its_rtx() {
    let plan = Plan { mid: "7".into(), prefer: Some("video/av1".into()), ..Plan::default() };
    let (_, answer) = answered(CHROMIUM_PUBLISH, &[plan]);
    let names: Vec<_> = answer.section("7").unwrap().codecs.iter().map(|line| line.name.as_str()).collect();
    assert_eq!(names[..3], ["AV1", "rtx", "VP8"]);
}

#[test]
fn one_payload_type_has_one_fmtp_in_the_whole_answer() {
    for (stereo, opus) in [
        (false, "minptime=10;useinbandfec=1;usedtx=1"),
        (true, "minptime=10;useinbandfec=1;stereo=1;maxaveragebitrate=510000"),
    ] {
        let plan = Plan { mid: "6".into(), stereo, ..Plan::default() };
        let (_, answer) = answered(CHROMIUM_PUBLISH, &[plan]);
        let audio = answer.sections.iter().filter(|section| section.media == Media::Audio);
        let parameters: Vec<_> = audio.map(|section| section.codecs[0].parameters.as_str()).collect();
        assert_eq!(parameters, [opus; 4]);
    }
}

#[test]
fn red_comes_first_where_it_is_wanted() {
    let plan = Plan { mid: "6".into(), prefer: Some("audio/red".into()), ..Plan::default() };
    let (_, answer) = answered(CHROMIUM_PUBLISH, &[plan]);
    let section = answer.section("6").unwrap();
    assert_eq!(section.formats, ["63", "111", "0", "8"]);
    assert_eq!(section.codecs[0].parameters, "111/111");
}

#[test]
fn sound_that_only_comes_to_us_is_left_out_of_congestion_control() {
    let send = Plan { mid: "0".into(), send: Some(stream(1)), ..Plan::default() };
    let (_, answer) = answered(CHROMIUM_PUBLISH, &[send]);
    let counted = |mid: &str| {
        let section = answer.section(mid).unwrap();
        let feedback = section.codecs.iter().any(|line| line.feedback.iter().any(|value| value == "transport-cc"));
        let extension = section.extensions.iter().any(|line| line.uri.contains("transport-wide-cc"));
        (section.direction, feedback, extension)
    };
    assert_eq!(counted("6"), (Direction::RecvOnly, false, false));
    assert_eq!(counted("7"), (Direction::RecvOnly, true, true), "video");
    assert_eq!(counted("0"), (Direction::SendOnly, true, true), "sound that we send");
}

#[test]
fn red_can_be_left_out_where_we_receive() {
    let plan = Plan { mid: "6".into(), disable_red: true, ..Plan::default() };
    let (_, answer) = answered(CHROMIUM_PUBLISH, &[plan]);
    assert_eq!(answer.section("6").unwrap().formats, ["111", "0", "8"]);
    assert_eq!(answer.section("0").unwrap().formats, ["111", "63", "0", "8"]);
}

#[test]
fn a_stopped_section_is_rejected_and_leaves_the_bundle() {
    let offer =
        CHROMIUM_PUBLISH.replacen("a=group:BUNDLE 0 1", "a=group:BUNDLE 1", 1).replacen("m=audio 9", "m=audio 0", 1);
    let (review, answer) = answered(&offer, &[]);
    assert!(review.sections[0].rejected);
    assert_eq!((answer.sections[0].port, answer.sections[0].direction), (0, Direction::Inactive));
    assert!(answer.sections[0].ice_ufrag.is_empty());
    assert_eq!(answer.bundle.first().map(String::as_str), Some("1"));
    assert!(!answer.bundle.contains(&"0".to_owned()));
}

#[test]
fn bundle_only_sections_with_port_zero_are_accepted() {
    let offer = CHROMIUM_JOIN.replace("m=video 9", "m=video 0").replace("a=mid:3", "a=mid:3\na=bundle-only");
    let (review, answer) = answered(&offer, &[]);
    assert!(review.sections.iter().all(|section| !section.rejected));
    assert!(answer.sections.iter().all(|section| section.port == 7882));
}

#[test]
fn the_offer_of_somebody_who_sees_a_hundred_others_is_within_the_limits() {
    let parts: Vec<&str> = CHROMIUM_JOIN.split("\nm=").collect();
    let mids: Vec<String> = (0..200).map(|mid| mid.to_string()).collect();
    let mut offer = parts[0].replace("BUNDLE 0 1 2 3 4 5 6", &format!("BUNDLE {}", mids.join(" ")));
    for (index, mid) in mids.iter().enumerate() {
        let (part, original) = if index < 100 { (parts[1], "a=mid:0") } else { (parts[4], "a=mid:3") };
        offer += &format!("\nm={}", part.replace(original, &format!("a=mid:{mid}")));
    }
    let limits = crate::api::Limits::default();
    let bounds = Bounds { max_bytes: limits.max_sdp_bytes, max_sections: limits.max_sections };
    let offer = Description::parse(&offer, &bounds).unwrap();
    assert_eq!(review(&offer).unwrap().sections.iter().filter(|section| section.client_receives).count(), 200);
}

#[test]
fn data_sections_of_the_old_form_are_rejected() {
    let offer = CHROMIUM_JOIN.replace("UDP/DTLS/SCTP webrtc-datachannel", "DTLS/SCTP 5000");
    let (review, answer) = answered(&offer, &[]);
    assert!(review.sections[6].rejected && !review.remote.has_data_section);
    assert_eq!((answer.sections[6].port, answer.bundle.len()), (0, 6));
}

#[test]
fn the_transport_is_that_of_the_bundle_tag() {
    let offer = CHROMIUM_JOIN.replacen("BUNDLE 0 1 2", "BUNDLE 2 0 1", 1);
    let mut offer = parse(&offer);
    for section in &mut offer.sections {
        section.ice_ufrag = format!("ufrag{}", section.mid);
    }
    let review = review(&offer).unwrap();
    assert_eq!(review.remote.ufrag, "ufrag2");
    assert_eq!(answer(&offer, &review, &local(), &[]).bundle[0], "2");
}

#[test]
fn descriptions_that_cannot_work_are_refused_with_the_reason() {
    let refused = |offer: &str| review(&parse(offer)).unwrap_err().to_string();
    let without = |start: &str| {
        let kept = CHROMIUM_JOIN.lines().filter(|line| !line.starts_with(start));
        kept.map(|line| format!("{line}\n")).collect::<String>()
    };
    assert!(refused(&without("a=ice-pwd")).contains("ICE credentials"));
    assert!(refused(&without("a=fingerprint")).contains("sha-256"));
    assert!(refused(&without("a=mid")).contains("no mid"));
    assert!(refused(&CHROMIUM_JOIN.replace("a=mid:1\n", "a=mid:0\n")).contains("used twice"));
    assert!(refused(&CHROMIUM_JOIN.replace("a=setup:actpass", "a=setup:passive")).contains("actpass"));
    assert!(refused(&CHROMIUM_JOIN.replace("t=0 0\n", "t=0 0\na=ice-lite\n")).contains("ice-lite"));
    assert!(refused(&CHROMIUM_JOIN.replacen("BUNDLE 0", "BUNDLE 99 0", 1)).contains("BUNDLE names mid 99"));
}

#[test]
fn of_several_fingerprints_the_sha_256_one_is_taken() {
    let sha512 = format!("a=fingerprint:sha-512 {}\na=setup", vec!["AB"; 64].join(":"));
    let offer = CHROMIUM_JOIN.replace("a=setup", &sha512);
    assert_eq!(review(&parse(&offer)).unwrap().remote.sha256[0], 0xA4);
}

#[test]
fn a_client_with_only_abs_send_time_gets_remb() {
    let offer: String = CHROMIUM_JOIN
        .lines()
        .filter(|line| !line.contains("transport-cc") && !line.contains("transport-wide"))
        .map(|line| format!("{line}\n"))
        .collect();
    let (review, answer) = answered(&offer, &[]);
    assert_eq!(review.sections[3].extensions.abs_send_time, 2);
    assert!(answer.sections[3].codecs[0].feedback.contains(&"goog-remb".to_owned()));
}

fn server_offer(media: &[(&str, Kind, bool)]) -> Description {
    let media: Vec<OfferedMedia> = media
        .iter()
        .map(|(mid, kind, sends)| OfferedMedia {
            mid: (*mid).into(),
            kind: *kind,
            send: sends.then(|| stream(5)),
            playout_delay: false,
        })
        .collect();
    offer(&local(), "data", &media)
}

#[test]
fn a_server_offer_names_its_streams_and_reads_back() {
    let offer = server_offer(&[("a0", Kind::Audio, true), ("v0", Kind::Video, true), ("v1", Kind::Video, false)]);
    let read = parse(&offer.to_string());
    assert_eq!(read.bundle, ["data", "a0", "v0", "v1"]);
    assert_eq!(read.sections[0].setup, Some(Setup::ActPass));
    assert_eq!(read.section("a0").unwrap().ssrcs.len(), 1);
    assert_eq!(read.section("v0").unwrap().ssrcs.len(), 2);
    assert_eq!(read.section("v1").unwrap().direction, Direction::Inactive);
    let mut types: Vec<u8> = read.section("v0").unwrap().codecs.iter().map(|line| line.payload_type).collect();
    let count = types.len();
    types.sort_unstable();
    types.dedup();
    assert_eq!((types.len(), count), (20, 20), "payload types are unique");
}

#[test]
fn an_answer_to_our_offer_says_what_the_client_takes() {
    let offer = server_offer(&[("a0", Kind::Audio, true), ("v0", Kind::Video, true)]);
    let mut answer = offer.clone();
    answer.ice_lite = false;
    for section in &mut answer.sections {
        section.setup = Some(Setup::Active);
        section.direction = Direction::RecvOnly;
        section.ssrcs.clear();
    }
    answer.sections[2].port = 0;
    answer.sections[2].direction = Direction::Inactive;
    answer.bundle.pop();
    let review = review_answer(&offer, &answer).unwrap();
    assert!(!review.remote.we_are_active);
    assert!(review.sections[1].client_receives && !review.sections[1].rejected);
    assert!(review.sections[2].rejected && !review.sections[2].client_receives);
    answer.sections.swap(1, 2);
    assert!(review_answer(&offer, &answer).is_err());
    answer.sections.pop();
    assert!(review_answer(&offer, &answer).is_err());
}

proptest! {
    #[test]
    fn mutated_real_offers_never_panic_and_answers_always_read_back(
        which in 0usize..3, edits in prop::collection::vec((any::<prop::sample::Index>(), 32u8..127), 1..8),
        dropped in any::<prop::sample::Index>(),
    ) {
        let original = [CHROMIUM_JOIN, CHROMIUM_PUBLISH, PYTHON_JOIN][which];
        let mut bytes = original.as_bytes().to_vec();
        for (at, byte) in edits {
            let at = at.index(bytes.len());
            if bytes[at] != b'\n' {
                bytes[at] = byte;
            }
        }
        let text = String::from_utf8(bytes).unwrap();
        let skip = dropped.index(text.lines().count());
        let text: String = text.lines().enumerate().filter(|(at, _)| *at != skip).map(|(_, line)| format!("{line}\n")).collect();
        if let Ok(offer) = Description::parse(&text, &BOUNDS) {
            if let Ok(review) = review(&offer) {
                let plan = |mid: &str| Plan { mid: mid.into(), send: Some(stream(1)), stereo: true, prefer: Some("video/VP9".into()), ..Plan::default() };
                let answer = answer(&offer, &review, &local(), &[plan("0"), plan("3"), plan("7")]);
                let read = parse(&answer.to_string());
                prop_assert_eq!(read.sections.len(), offer.sections.len());
                for (answered, offered) in read.sections.iter().zip(&offer.sections) {
                    prop_assert_eq!(&answered.mid, &offered.mid);
                    prop_assert!(answered.formats.iter().all(|format| offered.formats.contains(format)));
                }
            }
        }
    }
}
