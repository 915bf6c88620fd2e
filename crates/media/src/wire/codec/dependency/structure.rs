//! The template dependency structure of a key frame.

use super::super::super::WireError;
use super::super::super::bits::BitReader;

/// Most decode targets a structure can have.
pub const TARGETS: usize = 32;
/// Chains that are followed; real structures have one per spatial layer.
pub const CHAINS: usize = 4;
const TEMPLATES: usize = 64;

/// What a frame is to a decode target.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Indication {
    NotPresent,
    Discardable,
    /// From here on the target can be decoded, if this frame can.
    Switch,
    Required,
}

impl Indication {
    #[inline]
    pub(super) fn of(packed: u64, target: usize) -> Indication {
        match packed.checked_shr(2 * target as u32).unwrap_or_default() & 0x03 {
            0 => Indication::NotPresent,
            1 => Indication::Discardable,
            2 => Indication::Switch,
            _ => Indication::Required,
        }
    }
}

/// One kind of frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Template {
    pub spatial: u8,
    pub temporal: u8,
    pub(super) indications: u64,
    pub chain_diffs: [u8; CHAINS],
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Structure {
    id_offset: u8,
    targets: u8,
    chains: u8,
    templates: Vec<Template>,
    /// (spatial, temporal) of each decode target.
    layers: [(u8, u8); TARGETS],
    /// The chain whose frames keep a target decodable; [`CHAINS`] = none that is followed.
    protected_by: [u8; TARGETS],
    /// Targets that can be decoded too by whoever gets all frames of this one.
    included: [u32; TARGETS],
}

impl Structure {
    pub(super) fn parse(reader: &mut BitReader<'_>) -> Result<Structure, WireError> {
        let id_offset = reader.bits(6)? as u8;
        let targets = reader.bits(5)? as usize + 1;
        let mut templates = template_layers(reader)?;
        for template in &mut templates {
            template.indications = indications(reader, targets)?;
        }
        for _ in &templates {
            while reader.flag()? {
                reader.bits(4)?;
            }
        }
        let chains = reader.below(targets as u32 + 1)? as usize;
        let mut protected_by = [CHAINS as u8; TARGETS];
        if chains > 0 {
            for protector in protected_by.iter_mut().take(targets) {
                *protector = (reader.below(chains as u32)? as u8).min(CHAINS as u8);
            }
            for template in &mut templates {
                template.chain_diffs = chain_diffs(reader, chains, 4)?;
            }
        }
        if reader.flag()? {
            let highest = templates.iter().map(|template| template.spatial).max().unwrap_or_default();
            for _ in 0..=highest {
                reader.bits(32)?;
            }
        }
        let mut parsed = Structure {
            id_offset,
            targets: targets as u8,
            chains: chains as u8,
            templates,
            layers: [(0, 0); TARGETS],
            protected_by,
            included: [0; TARGETS],
        };
        parsed.derive();
        Ok(parsed)
    }

    fn derive(&mut self) {
        let targets = self.targets();
        let has =
            |template: &Template, target: usize| Indication::of(template.indications, target) != Indication::NotPresent;
        for target in 0..targets {
            let mine = || self.templates.iter().filter(|template| has(template, target));
            let spatial = mine().map(|template| template.spatial).max().unwrap_or_default();
            let temporal = mine().map(|template| template.temporal).max().unwrap_or_default();
            let within =
                |other: &usize| self.templates.iter().all(|template| !has(template, *other) || has(template, target));
            let included = (0..targets).filter(within).fold(0, |mask, other| mask | 1 << other);
            if let (Some(layer), Some(slot)) = (self.layers.get_mut(target), self.included.get_mut(target)) {
                (*layer, *slot) = ((spatial, temporal), included);
            }
        }
    }

    pub(super) fn template(&self, id: u8) -> Option<&Template> {
        self.templates.get(usize::from(id.wrapping_sub(self.id_offset) & 0x3F))
    }

    pub fn targets(&self) -> usize {
        usize::from(self.targets)
    }

    pub(super) fn chains(&self) -> usize {
        usize::from(self.chains)
    }

    /// Spatial and temporal layer of a decode target.
    pub fn layer(&self, target: usize) -> (u8, u8) {
        self.layers.get(target).copied().unwrap_or_default()
    }

    pub fn protected_by(&self, target: usize) -> Option<usize> {
        self.protected_by.get(target).map(|chain| usize::from(*chain)).filter(|chain| *chain < CHAINS)
    }

    /// Bit per target that can be decoded by whoever gets this one, itself included.
    pub fn included(&self, target: usize) -> u32 {
        self.included.get(target).copied().unwrap_or_default()
    }

    pub fn all(&self) -> u32 {
        u32::MAX >> (TARGETS - self.targets().clamp(1, TARGETS))
    }

    /// The best target within these layers; the lowest there is when none is.
    pub fn best_within(&self, spatial: u8, temporal: u8) -> usize {
        let fits = |target: &usize| {
            let (own_spatial, own_temporal) = self.layer(*target);
            own_spatial <= spatial && own_temporal <= temporal
        };
        let by_layer = |target: &usize| self.layer(*target);
        let best = (0..self.targets()).filter(fits).max_by_key(by_layer);
        best.or_else(|| (0..self.targets()).min_by_key(by_layer)).unwrap_or_default()
    }

    /// Does a higher spatial layer need the frames of the ones below all the time (and not at key frames only)?
    pub fn builds_on_lower(&self) -> bool {
        let lowest = self.best_within(0, 0);
        let highest = self.best_within(u8::MAX, u8::MAX);
        self.included(highest) >> lowest & 1 == 1
    }
}

fn template_layers(reader: &mut BitReader<'_>) -> Result<Vec<Template>, WireError> {
    let (mut spatial, mut temporal) = (0u8, 0u8);
    let mut templates = Vec::new();
    loop {
        if templates.len() == TEMPLATES {
            return Err(WireError::Malformed);
        }
        templates.push(Template { spatial, temporal, indications: 0, chain_diffs: [0; CHAINS] });
        match reader.bits(2)? {
            0 => {}
            1 => temporal += 1,
            2 => (spatial, temporal) = (spatial + 1, 0),
            _ => return Ok(templates),
        }
    }
}

/// Indications of one frame, packed.
pub(super) fn indications(reader: &mut BitReader<'_>, targets: usize) -> Result<u64, WireError> {
    let mut packed = 0;
    for target in 0..targets {
        packed |= u64::from(reader.bits(2)?) << (2 * target);
    }
    Ok(packed)
}

pub(super) fn chain_diffs(reader: &mut BitReader<'_>, chains: usize, bits: usize) -> Result<[u8; CHAINS], WireError> {
    let mut diffs = [0; CHAINS];
    for chain in 0..chains {
        let diff = reader.bits(bits)? as u8;
        if let Some(slot) = diffs.get_mut(chain) {
            *slot = diff;
        }
    }
    Ok(diffs)
}
