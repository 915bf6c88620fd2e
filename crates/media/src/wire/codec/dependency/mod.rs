//! Dependency descriptor header extension (AV1 RTP payload format 1.0, appendix A), which VP9 and AV1 senders use.
//!
//! A key frame brings a [`Structure`]: the decode targets (what a receiver may choose to decode) and templates of which
//! frame is needed for which target. Every packet names its template, so that an SFU knows what to leave out without a
//! look at the payload.

mod structure;

use super::super::WireError;
use super::super::bits::{BitReader, BitWriter};

pub use structure::{CHAINS, Indication, Structure, TARGETS};

/// Bytes every descriptor has; a longer one has more fields.
const MANDATORY: usize = 3;
/// Bits of the mandatory fields and of the five flags that follow in a longer one.
const FLAGS_AT: usize = MANDATORY * 8;
const FLAGS: usize = 5;

/// What is known of a stream's decode targets.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Known {
    pub structure: Option<Box<Structure>>,
    /// Counts structures of the stream.
    pub version: u32,
    /// Bit per target that the sender makes.
    pub active: u32,
}

/// What a packet's descriptor says about its frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    pub starts: bool,
    pub ends: bool,
    /// Counts frames (of every layer), modulo 2^16.
    pub number: u16,
    pub spatial: u8,
    pub temporal: u8,
    /// Two bits per decode target, the first in the lowest ones.
    indications: u64,
    /// How many frames back the last one of each chain is; 0 = none before.
    pub chain_diffs: [u8; CHAINS],
    /// Brings a structure: the first packet of a key frame.
    pub has_structure: bool,
    /// Bit positions of the active targets and of the end, to write another mask in.
    mask: (u16, u16),
    end: u16,
}

impl Frame {
    /// Reads the value of the header extension. A structure it brings takes the place of the known one.
    ///
    /// # Errors
    /// `Malformed` too when it refers to a template that is not known: its key frame was lost.
    pub fn parse(value: &[u8], known: &mut Known) -> Result<Frame, WireError> {
        let mut reader = BitReader::new(value);
        let (starts, ends) = (reader.flag()?, reader.flag()?);
        let (template, number) = (reader.bits(6)? as u8, reader.bits(16)? as u16);
        let mut flags = [false; FLAGS];
        if value.len() > MANDATORY {
            for flag in &mut flags {
                *flag = reader.flag()?;
            }
        }
        let [has_structure, has_active, custom_indications, custom_diffs, custom_chains] = flags;
        if has_structure {
            let fresh = Structure::parse(&mut reader)?;
            known.active = fresh.all();
            if known.structure.as_deref() != Some(&fresh) {
                known.structure = Some(Box::new(fresh));
                known.version = known.version.wrapping_add(1);
            }
        }
        let structure = known.structure.as_deref().ok_or(WireError::Malformed)?;
        let described = structure.template(template).ok_or(WireError::Malformed)?;
        let mask_at = reader.position();
        if has_active {
            known.active = reader.bits(structure.targets())?;
        }
        let mask_end = reader.position();
        let mut frame = Frame {
            starts,
            ends,
            number,
            spatial: described.spatial,
            temporal: described.temporal,
            indications: described.indications,
            chain_diffs: described.chain_diffs,
            has_structure,
            mask: (mask_at as u16, mask_end as u16),
            end: 0,
        };
        if custom_indications {
            frame.indications = structure::indications(&mut reader, structure.targets())?;
        }
        if custom_diffs {
            skip_frame_diffs(&mut reader)?;
        }
        if custom_chains {
            frame.chain_diffs = structure::chain_diffs(&mut reader, structure.chains(), 8)?;
        }
        frame.end = reader.position() as u16;
        Ok(frame)
    }

    pub fn starts_keyframe(&self) -> bool {
        self.starts && self.has_structure
    }

    /// What the frame is to a decode target.
    #[inline]
    pub fn indication(&self, target: usize) -> Indication {
        Indication::of(self.indications, target)
    }

    /// Writes the descriptor anew with this mask of active decode targets (bit per target). Gives the length; none
    /// when it does not fit.
    pub fn with_active(&self, value: &[u8], mask: u32, targets: usize, into: &mut [u8]) -> Option<usize> {
        let mut writer = BitWriter::new(into);
        let mut whole = writer.copy(value, 0..FLAGS_AT);
        if value.len() > MANDATORY {
            let mut flags = BitReader::new(value.get(MANDATORY..)?);
            writer.bits(FLAGS, flags.bits(FLAGS).ok()? | 0x08);
            whole &= writer.copy(value, FLAGS_AT + FLAGS..usize::from(self.mask.0));
        } else {
            writer.bits(FLAGS, 0x08);
        }
        writer.bits(targets, mask);
        whole &= writer.copy(value, usize::from(self.mask.1)..usize::from(self.end));
        if whole { writer.finish() } else { None }
    }
}

fn skip_frame_diffs(reader: &mut BitReader<'_>) -> Result<(), WireError> {
    loop {
        let size = reader.bits(2)? as usize;
        if size == 0 {
            return Ok(());
        }
        reader.bits(4 * size)?;
    }
}

#[cfg(test)]
pub(crate) mod tests;
