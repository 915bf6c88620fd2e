//! Tracks announced by AddTrack before an offer names their section: what the answer asks of the encoder.

use rustc_hash::FxHashMap;

use crate::api::Expected;
use crate::negotiate::{Plan, Review};

/// Announced tracks kept until an offer takes them up.
const MAX_WAITING: usize = 64;

#[derive(Default)]
pub(super) struct Expectations {
    /// Oldest first.
    waiting: Vec<Expected>,
    /// By mid, of sections that took one up.
    taken: FxHashMap<String, Expected>,
}

impl Expectations {
    pub fn add(&mut self, expected: Expected) {
        if self.waiting.len() == MAX_WAITING {
            self.waiting.remove(0);
        }
        self.waiting.push(expected);
    }

    /// Gives the sections on which the client newly sends their tracks: by the track id of the msid, else the first of
    /// that kind that no section names. Forgets those of sections that are gone.
    pub fn assign(&mut self, review: &Review) {
        let sending = || review.sections.iter().filter(|section| section.client_sends && !section.rejected);
        self.taken.retain(|mid, _| sending().any(|section| section.mid == *mid));
        for section in sending() {
            let Some(kind) = section.kind.filter(|_| !self.taken.contains_key(&section.mid)) else { continue };
            let of_kind = |expected: &&Expected| expected.kind == kind;
            let names = |expected: &Expected, cid: &str| !cid.is_empty() && expected.cids.iter().any(|own| own == cid);
            let unnamed = |expected: &Expected| !sending().any(|other| names(expected, &other.track_id));
            let mut numbered = self.waiting.iter().enumerate().filter(|(_, expected)| of_kind(expected));
            let found = numbered.clone().find(|(_, expected)| names(expected, &section.track_id));
            let found = found.or_else(|| numbered.find(|(_, expected)| unnamed(expected)));
            if let Some(index) = found.map(|(index, _)| index) {
                self.taken.insert(section.mid.clone(), self.waiting.remove(index));
            }
        }
    }

    /// Adds what was announced to the plans of an answer.
    pub fn add_to(&self, plans: &mut Vec<Plan>) {
        for (mid, expected) in &self.taken {
            let index = plans.iter().position(|plan| plan.mid == *mid).unwrap_or_else(|| {
                plans.push(Plan { mid: mid.clone(), ..Plan::default() });
                plans.len() - 1
            });
            if let Some(plan) = plans.get_mut(index) {
                plan.prefer.clone_from(&expected.mime);
                plan.stereo = expected.stereo;
                plan.disable_dtx = expected.disable_dtx;
                plan.disable_red = expected.disable_red;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Kind;
    use crate::negotiate;
    use crate::wire::sdp::{Bounds, Description};

    /// Sections 6 and 7 send: audio and video.
    const PUBLISH: &str = include_str!("../../tests/offers/chromium-156-publish.sdp");

    fn review(change: impl Fn(&mut negotiate::Reviewed)) -> Review {
        let bounds = Bounds { max_bytes: 1 << 20, max_sections: 64 };
        let mut review = negotiate::review(&Description::parse(PUBLISH, &bounds).unwrap()).unwrap();
        review.sections.iter_mut().for_each(change);
        review
    }

    fn expected(cid: &str, kind: Kind, mime: &str) -> Expected {
        let cids = vec![cid.to_owned()];
        Expected { cids, kind, mime: Some(mime.to_owned()), stereo: false, disable_dtx: false, disable_red: false }
    }

    fn preferences(expectations: &Expectations) -> Vec<(String, String)> {
        let mut plans = Vec::new();
        expectations.add_to(&mut plans);
        let mut found: Vec<_> = plans.into_iter().map(|plan| (plan.mid, plan.prefer.unwrap())).collect();
        found.sort();
        found
    }

    #[test]
    fn a_section_takes_up_the_track_it_names_and_keeps_it_while_it_sends() {
        let named = review(|section| {
            if section.mid == "7" {
                "camera".clone_into(&mut section.track_id);
            }
        });
        let mut expectations = Expectations::default();
        expectations.add(expected("screen", Kind::Video, "video/VP9"));
        expectations.add(expected("camera", Kind::Video, "video/AV1"));
        expectations.assign(&named);
        assert_eq!(preferences(&expectations), [("7".to_owned(), "video/AV1".to_owned())]);
        expectations.assign(&named);
        assert_eq!(preferences(&expectations), [("7".to_owned(), "video/AV1".to_owned())], "once only");

        expectations.assign(&review(|section| section.client_sends = false));
        assert!(preferences(&expectations).is_empty());
    }

    #[test]
    fn a_section_that_names_nothing_takes_the_oldest_of_its_kind() {
        let mut expectations = Expectations::default();
        expectations.add(expected("a", Kind::Video, "video/H264"));
        expectations.add(expected("b", Kind::Audio, "audio/red"));
        expectations.add(expected("c", Kind::Video, "video/VP9"));
        expectations.assign(&review(|section| section.track_id.clear()));
        let of = |mid: &str, mime: &str| (mid.to_owned(), mime.to_owned());
        assert_eq!(preferences(&expectations), [of("6", "audio/red"), of("7", "video/H264")]);
    }

    #[test]
    fn what_is_never_taken_up_is_bounded() {
        let mut expectations = Expectations::default();
        (0..MAX_WAITING + 10).for_each(|n| expectations.add(expected(&n.to_string(), Kind::Audio, "audio/red")));
        assert_eq!(expectations.waiting.len(), MAX_WAITING);
    }
}
