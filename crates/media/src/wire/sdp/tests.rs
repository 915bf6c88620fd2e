use proptest::prelude::*;

use super::*;

const BOUNDS: Bounds = Bounds { max_bytes: 64 * 1024, max_sections: 32 };

const SMALL: &str = "v=0\r\no=- 7 2 IN IP4 127.0.0.1\r\ns=-\r\nt=0 0\r\na=group:BUNDLE 0 d\r\na=extmap-allow-mixed\r\n\
a=fingerprint:SHA-256 0A:FF\r\na=setup:actpass\r\na=ice-ufrag:abcd\r\na=ice-pwd:0123456789012345678901\r\n\
m=video 9 UDP/TLS/RTP/SAVPF 97 96\r\nc=IN IP4 0.0.0.0\r\na=mid:0\r\na=sendonly\r\na=rtcp-mux\r\n\
a=extmap:3/sendonly urn:x\r\na=fmtp:97 apt=96\r\na=rtcp-fb:* nack\r\na=rtpmap:96 VP8/90000\r\na=rtpmap:97 rtx/90000\r\n\
a=rtpmap:98 VP9/90000\r\na=rid:q send\r\na=rid:h send max-width=100\r\na=simulcast:send q;~h\r\na=msid:stream track\r\n\
a=ssrc-group:FID 1 2\r\na=ssrc:1 cname:me\r\na=ssrc:2 cname:me\r\n\
m=application 0 UDP/DTLS/SCTP webrtc-datachannel\r\na=bundle-only\r\na=mid:d\r\na=sctp-port:5000\r\na=max-message-size:262144\r\n";

fn parse(text: &str) -> Result<Description, SdpError> {
    Description::parse(text, &BOUNDS)
}

#[test]
fn sections_inherit_the_transport_of_the_session_level() {
    let description = parse(SMALL).unwrap();
    for section in &description.sections {
        assert_eq!(section.ice_ufrag, "abcd");
        assert_eq!(section.setup, Some(Setup::ActPass));
        assert_eq!(section.fingerprints, [Fingerprint { algorithm: "sha-256".into(), digest: vec![10, 255] }]);
    }
    assert_eq!(description.transport_section().map(|section| &*section.mid), Some("0"));
}

#[test]
fn codecs_come_in_the_order_of_the_m_line_whatever_the_order_of_attributes() {
    let description = parse(SMALL).unwrap();
    let codecs = &description.sections[0].codecs;
    assert_eq!(
        codecs.iter().map(|codec| (codec.payload_type, &*codec.name)).collect::<Vec<_>>(),
        [(97, "rtx"), (96, "VP8")]
    );
    assert_eq!(codecs[0].parameters, "apt=96");
    assert_eq!(codecs[1].feedback, ["nack"]);
}

#[test]
fn simulcast_extensions_streams_and_data_are_read() {
    let description = parse(SMALL).unwrap();
    let video = &description.sections[0];
    assert_eq!(video.simulcast.send, [("q".to_owned(), false), ("h".to_owned(), true)]);
    assert_eq!(video.rids, [Rid { id: "q".into(), send: true }, Rid { id: "h".into(), send: true }]);
    assert_eq!(video.extensions, [ExtensionLine { id: 3, uri: "urn:x".into() }]);
    assert_eq!(video.ssrc_groups, [SsrcGroup { semantics: "FID".into(), ssrcs: vec![1, 2] }]);
    assert_eq!(video.msid, Some(("stream".into(), "track".into())));
    let data = &description.sections[1];
    assert!(data.bundle_only);
    assert_eq!((data.sctp_port, data.max_message_size), (Some(5000), Some(262_144)));
}

#[test]
fn errors_name_the_line() {
    let error = |text: &str| parse(text).unwrap_err();
    assert_eq!(error("hello").to_string(), "line 1: must start with v=0");
    assert_eq!(error("v=0\r\nm=video x UDP/TLS/RTP/SAVPF 96\r\n").to_string(), "line 2: bad port in m-line");
    assert_eq!(error("v=0\r\nm=video 9 X 96\r\na=rtpmap:300 VP8/90000\r\n").to_string(), "line 3: bad payload type");
    assert_eq!(error("v=0\r\nm=video 9 X 96\r\na=mid:a\rb\r\n").line, 3);
    assert_eq!(error("v=0\r\n").to_string(), "no media section");
    assert_eq!(error(&"v".repeat(70_000)).to_string(), "description is too large");
    let many = format!("v=0\r\n{}", "m=video 9 X 96\r\n".repeat(33));
    assert_eq!(error(&many).to_string(), "line 34: too many media sections");
}

#[test]
fn what_is_printed_is_read_back_the_same() {
    let first = parse(SMALL).unwrap();
    let mut again = parse(&first.to_string()).unwrap();
    // The printer writes the unspecified address where none was given.
    again.sections[1].connection = None;
    assert_eq!(again, first);
}

proptest! {
    #[test]
    fn random_text_never_panics(text in "\\PC{0,200}") {
        let _ = parse(&text);
        let _ = parse(&format!("v=0\r\nm=video 9 X 96\r\na={text}\r\n"));
    }

    #[test]
    fn random_attribute_values_never_panic(
        name in prop::sample::select(vec!["rtpmap", "fmtp", "rtcp-fb", "extmap", "rid", "simulcast", "ssrc", "ssrc-group",
            "fingerprint", "group", "msid", "candidate", "sctp-port", "mid", "setup"]),
        value in "[0-9a-z:;,~/ *=-]{0,40}",
    ) {
        if let Ok(description) = parse(&format!("v=0\r\nm=video 9 X 96 97\r\na={name}:{value}\r\n")) {
            parse(&description.to_string()).unwrap();
        }
    }

    #[test]
    fn mutated_descriptions_never_panic(at in 0usize..SMALL.len(), byte in 0u8..128, cut in 0usize..SMALL.len()) {
        let mut bytes = SMALL.as_bytes().to_vec();
        bytes[at] = byte;
        let text = String::from_utf8(bytes).unwrap();
        if let Ok(description) = parse(&text) {
            let _ = parse(&description.to_string());
        }
        let _ = parse(&text[..cut]);
    }
}
