//! What a wake-up has for whom, noted in order of arrival and worked off subscriber by subscriber.

use crate::peer::Work;
use crate::slab::Key;

/// Filled and cleared with every wake-up; nothing is allocated once it has been as large.
#[derive(Default)]
pub(super) struct Agenda {
    turns: Vec<Turn>,
    /// By the index of a peer: its turn, if that says the same.
    places: Vec<u32>,
    notes: Vec<Note>,
}

/// All for one peer: a chain of notes.
struct Turn {
    peer: Key,
    first: u32,
    last: u32,
}

struct Note {
    work: Work,
    next: Option<u32>,
}

impl Agenda {
    pub fn add(&mut self, peer: Key, work: Work) {
        let note = self.notes.len() as u32;
        self.notes.push(Note { work, next: None });
        if self.places.len() <= peer.index() {
            self.places.resize(peer.index() + 1, 0);
        }
        let Some(place) = self.places.get_mut(peer.index()) else { return };
        match self.turns.get_mut(*place as usize).filter(|turn| turn.peer == peer) {
            Some(turn) => {
                if let Some(last) = self.notes.get_mut(turn.last as usize) {
                    last.next = Some(note);
                }
                turn.last = note;
            }
            None => {
                *place = self.turns.len() as u32;
                self.turns.push(Turn { peer, first: note, last: note });
            }
        }
    }

    /// How many peers have work.
    pub fn len(&self) -> usize {
        self.turns.len()
    }

    /// Whose turn it is, in order of their first note.
    #[inline]
    pub fn peer(&self, turn: usize) -> Option<Key> {
        self.turns.get(turn).map(|turn| turn.peer)
    }

    /// The work of a turn, in the order it was noted.
    #[inline]
    pub fn work(&self, turn: usize) -> impl Iterator<Item = &Work> {
        let first = self.turns.get(turn).map(|turn| turn.first);
        let note = |number: u32| self.notes.get(number as usize);
        std::iter::successors(first.and_then(note), move |before| before.next.and_then(note)).map(|note| &note.work)
    }

    pub fn clear(&mut self) {
        self.turns.clear();
        self.notes.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::slab::Slab;

    fn keys(count: usize) -> Vec<Key> {
        let mut slab = Slab::new();
        (0..count).map(|_| slab.insert(())).collect()
    }

    fn worked_off(agenda: &Agenda) -> Vec<(Key, Vec<u32>)> {
        let starts = |turn| agenda.work(turn).map(|work| work.packets.start).collect();
        (0..agenda.len()).filter_map(|turn| Some((agenda.peer(turn)?, starts(turn)))).collect()
    }

    #[test]
    fn each_peer_gets_all_its_work_in_one_turn_and_in_order() {
        let keys = keys(4);
        let mut agenda = Agenda::default();
        let add = |agenda: &mut Agenda, peer: usize, start| {
            agenda.add(keys[peer], Work { down: keys[0], packets: start..start + 1 });
        };
        for (peer, start) in [(3, 0), (1, 1), (3, 2), (2, 3), (3, 4), (1, 5)] {
            add(&mut agenda, peer, start);
        }
        assert_eq!(worked_off(&agenda), [(keys[3], vec![0, 2, 4]), (keys[1], vec![1, 5]), (keys[2], vec![3])]);
        agenda.clear();
        assert_eq!(worked_off(&agenda), []);
        for (peer, start) in [(1, 7), (0, 8), (1, 9)] {
            add(&mut agenda, peer, start);
        }
        assert_eq!(worked_off(&agenda), [(keys[1], vec![7, 9]), (keys[0], vec![8])]);
    }

    #[test]
    fn one_who_has_the_place_of_one_who_left_is_not_taken_for_him() {
        let mut slab = Slab::new();
        let old = slab.insert(());
        let mut agenda = Agenda::default();
        agenda.add(old, Work { down: old, packets: 0..1 });
        slab.remove(old);
        let new = slab.insert(());
        assert_eq!(new.index(), old.index());
        agenda.add(new, Work { down: old, packets: 1..2 });
        assert_eq!(worked_off(&agenda), [(old, vec![0]), (new, vec![1])]);
    }
}
