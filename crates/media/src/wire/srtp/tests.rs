use proptest::prelude::*;

use super::*;

fn hex(text: &str) -> Vec<u8> {
    let digits: Vec<u8> = text.bytes().filter(u8::is_ascii_hexdigit).collect();
    digits.chunks(2).map(|pair| u8::from_str_radix(std::str::from_utf8(pair).unwrap(), 16).unwrap()).collect()
}

/// A context with the session keys given directly, as the vectors of RFC 7714 do.
fn gcm_context(profile: Profile, key: &[u8], salt: &[u8]) -> Context {
    let cipher = || gcm(key, salt.try_into().unwrap()).unwrap();
    Context { profile, rtp: cipher(), rtcp: Box::new(cipher()) }
}

const RTP: &str = "8040f17b8041f8d35501a0b247616c6c696120657374206f6d6e697320646976697361
    20696e2070617274657320747265 73";
const RTCP: &str = "81c8000d4d6172734e5450314e545032525450200000042a0000e9304c756e61
    deadbeefdeadbeefdeadbeefdeadbeefdeadbeef";
const SALT: &str = "517569642070726f2071756f";

#[test]
fn gcm_128_protects_rtp_as_in_rfc_7714_section_16_1() {
    let context = gcm_context(Profile::AeadAes128Gcm, &hex("000102030405060708090a0b0c0d0e0f"), &hex(SALT));
    let mut packet = hex(RTP);
    context.protect_rtp(&mut packet, 0, 12, 0x5501_a0b2, 0xf17b).unwrap();
    let expected = hex("8040f17b8041f8d35501a0b2f24de3a3fb34de6cacba861c9d7e4bcabe633bd50d294e6f42a5f47a51c7d19b36de
        3adf8833899d7f27beb16a9152cf765ee4390cce");
    assert_eq!(packet, expected);
    let len = context.unprotect_rtp(&mut packet, 12, 0x5501_a0b2, 0xf17b).unwrap();
    assert_eq!(packet[..len], hex(RTP));
}

#[test]
fn gcm_256_protects_rtp_as_in_rfc_7714_section_16_2() {
    let key = hex("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
    let context = gcm_context(Profile::AeadAes256Gcm, &key, &hex(SALT));
    let mut packet = hex(RTP);
    context.protect_rtp(&mut packet, 0, 12, 0x5501_a0b2, 0xf17b).unwrap();
    let expected = hex("8040f17b8041f8d35501a0b232b1de78a822fe12ef9f78fa332e33aab18012389a58e2f3b50b2a0276ffae0f1ba637
        99b87b7aa3db36dfffd6b0f9bb7878d7a76c13");
    assert_eq!(packet, expected);
}

#[test]
fn gcm_128_protects_rtcp_as_in_rfc_7714_section_17_1() {
    let context = gcm_context(Profile::AeadAes128Gcm, &hex("000102030405060708090a0b0c0d0e0f"), &hex(SALT));
    let mut packet = hex(RTCP);
    context.protect_rtcp(&mut packet, 0, 0x5d4).unwrap();
    let expected =
        hex("81c8000d4d61727363e94885dcdab67ca727d7662f6b7e997ff5c0f76c06f32dc676a5f1730d6fda4ce09b4686303ded
        0bb9275bc84aa45896cf4d2fc5abf87245d9eade800005d4");
    assert_eq!(packet, expected);
    assert_eq!(context.unprotect_rtcp(&mut packet).unwrap(), (hex(RTCP).len(), 0x5d4));
}

#[test]
fn counter_mode_keystream_is_that_of_rfc_3711_appendix_b_2() {
    let mode = CounterMode {
        key: counter_mode_key(&hex("2b7e151628aed2a6abf7158809cf4f3c")).unwrap(),
        salt: hex("f0f1f2f3f4f5f6f7f8f9fafbfcfd").try_into().unwrap(),
        authentication: hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, &[]),
    };
    let mut stream = vec![0; 0xff02 * 16];
    mode.apply(0, 0, &mut stream).unwrap();
    assert_eq!(stream[..16], hex("e03ead0935c95e80e166b16dd92b4eb4"));
    assert_eq!(stream[16..32], hex("d23513162b02d0f72a43a2fe4a5f97ab"));
    assert_eq!(stream[0xff00 * 16..0xff01 * 16], hex("362b7c3c6773516318a077d7fc5073ae"));
}

#[test]
fn keys_are_derived_as_in_rfc_3711_appendix_b_3() {
    let derivation = Derivation::new(
        Profile::Aes128CmSha1_80,
        &hex("e1f97a0d3e018be0d64fa32c06de4139"),
        &hex("0ec675ad498afeebb6960b3aabe6"),
    )
    .unwrap();
    assert_eq!(derivation.derive::<16>(0).unwrap(), hex("c61e7a93744f39ee10734afe3ff7a087")[..]);
    assert_eq!(derivation.derive::<14>(2).unwrap(), hex("30cbbc08863d8c85d49db34a9ae1")[..]);
    assert_eq!(derivation.derive::<20>(1).unwrap(), hex("cebe321f6ff7716b6fd4ab49af256a156d38baa4")[..]);
}

#[test]
fn keying_material_of_another_length_is_refused() {
    for len in [0, 55, 57, 60, 88] {
        let made = Context::new(Profile::AeadAes128Gcm, &vec![7; len], Writer::Client);
        assert_eq!(made.err(), Some(WireError::KeyingMaterial));
    }
}

const PROFILES: [Profile; 3] = [Profile::AeadAes256Gcm, Profile::AeadAes128Gcm, Profile::Aes128CmSha1_80];

fn pair(profile: Profile) -> (Context, Context) {
    let material: Vec<u8> = (0..profile.keying_material_len()).map(|byte| byte as u8).collect();
    let context = |writer| Context::new(profile, &material, writer).unwrap();
    (context(Writer::Client), context(Writer::Server))
}

fn rtp_packet(payload: &[u8]) -> Vec<u8> {
    let mut packet = vec![0x80, 111, 0, 9, 0, 0, 0, 1, 0, 0, 0, 42];
    packet.extend_from_slice(payload);
    packet
}

#[test]
fn only_the_writers_own_keys_open_a_packet() {
    for profile in PROFILES {
        let (client, server) = pair(profile);
        let mut sealed = rtp_packet(b"hello");
        client.protect_rtp(&mut sealed, 0, 12, 42, 9).unwrap();
        let opened = server.unprotect_rtp(&mut sealed.clone(), 12, 42, 9);
        assert_eq!(opened, Err(WireError::Authentication), "{profile:?}");
        assert_eq!(client.unprotect_rtp(&mut sealed, 12, 42, 9), Ok(17), "{profile:?}");
    }
}

#[test]
fn a_wrong_roll_over_counter_does_not_open_a_packet() {
    for profile in PROFILES {
        let (client, _) = pair(profile);
        let mut sealed = rtp_packet(b"hello");
        client.protect_rtp(&mut sealed, 0, 12, 42, 9).unwrap();
        assert_eq!(client.unprotect_rtp(&mut sealed, 12, 42, 9 + (1 << 16)), Err(WireError::Authentication));
    }
}

proptest! {
    #[test]
    fn what_is_protected_after_other_packets_comes_back(
        which in 0usize..3, before in 0usize..40, payload in prop::collection::vec(any::<u8>(), 0..200),
        ssrc: u32, index in 0u64..1 << 48,
    ) {
        let (client, _) = pair(PROFILES[which]);
        let plain = rtp_packet(&payload);
        let mut out = vec![0xAA; before];
        out.extend_from_slice(&plain);
        client.protect_rtp(&mut out, before, 12, ssrc, index).unwrap();
        prop_assert_eq!(out.len(), before + plain.len() + client.rtp_overhead());
        let len = client.unprotect_rtp(&mut out[before..], 12, ssrc, index).unwrap();
        prop_assert_eq!(&out[before..before + len], &plain[..]);
    }

    #[test]
    fn a_changed_byte_is_noticed(which in 0usize..3, at in 0usize..100, flip in 1u8..) {
        let (client, _) = pair(PROFILES[which]);
        let mut rtp = rtp_packet(b"some payload");
        client.protect_rtp(&mut rtp, 0, 12, 42, 9).unwrap();
        let mut rtcp = hex(RTCP);
        client.protect_rtcp(&mut rtcp, 0, 77).unwrap();
        let (rtp_at, rtcp_at) = (at % rtp.len(), at % rtcp.len());
        rtp[rtp_at] ^= flip;
        rtcp[rtcp_at] ^= flip;
        prop_assert!(client.unprotect_rtp(&mut rtp, 12, 42, 9).is_err());
        prop_assert!(client.unprotect_rtcp(&mut rtcp).is_err());
    }

    #[test]
    fn rtcp_comes_back(which in 0usize..3, index in 0u32..1 << 31) {
        let (client, _) = pair(PROFILES[which]);
        let plain = hex(RTCP);
        let mut packet = plain.clone();
        client.protect_rtcp(&mut packet, 0, index).unwrap();
        prop_assert_ne!(&packet[8..plain.len()], &plain[8..]);
        prop_assert_eq!(client.unprotect_rtcp(&mut packet).unwrap(), (plain.len(), index));
        prop_assert_eq!(&packet[..plain.len()], &plain[..]);
    }

    #[test]
    fn random_datagrams_are_refused(which in 0usize..3, mut data in prop::collection::vec(any::<u8>(), 0..120), header in 0usize..200) {
        let (client, _) = pair(PROFILES[which]);
        prop_assert!(client.unprotect_rtp(&mut data.clone(), header, 1, 2).is_err());
        prop_assert!(client.unprotect_rtcp(&mut data).is_err());
    }
}
