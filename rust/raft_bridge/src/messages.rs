// SPDX-License-Identifier: Apache-2.0
//! The core's messages as bytes. What comes from peers is decoded and checked here before the core sees it, since the
//! core asserts; what leaves is cut into pieces that a transport takes.

use crate::ffi;
use prost::Message as _;
use raft::eraftpb::{ConfChangeV2, ConfState, EntryType, Message, MessageType};

/// The core asserts that a configuration is one. Ours never demote a voter, and are never left by themselves.
pub(crate) fn is_sound(c: &ConfState) -> bool {
    const MOST: usize = 256;
    let distinct = |ids: &[u64]| {
        let mut sorted = ids.to_vec();
        sorted.sort_unstable();
        sorted.windows(2).all(|w| w[0] != w[1]) && sorted.first() != Some(&0) && ids.len() <= MOST
    };
    let votes = |id: &u64| c.voters.contains(id) || c.voters_outgoing.contains(id);
    !c.voters.is_empty()
        && distinct(&c.voters)
        && distinct(&c.voters_outgoing)
        && distinct(&c.learners)
        && !c.learners.iter().any(votes)
        && c.learners_next.is_empty()
        && !c.auto_leave
}

/// What may come from the network at all. Everything else is the core's own talk with itself.
fn is_peer_message(kind: MessageType) -> bool {
    use MessageType::*;
    matches!(
        kind,
        MsgAppend | MsgAppendResponse | MsgRequestVote | MsgRequestVoteResponse | MsgSnapshot | MsgHeartbeat
            | MsgHeartbeatResponse | MsgTimeoutNow | MsgReadIndex | MsgReadIndexResp | MsgRequestPreVote
            | MsgRequestPreVoteResponse
    )
}

pub(crate) fn decode_checked(bytes: &[u8]) -> Result<Message, String> {
    const MAX_BYTES: usize = 64 << 20;
    if bytes.len() > MAX_BYTES {
        return Err("a raft message is too large".into());
    }
    let m = Message::decode(bytes).map_err(|e| format!("a raft message does not decode: {e}"))?;
    let kind = MessageType::from_i32(m.msg_type).ok_or("a raft message has an unknown type")?;
    if !is_peer_message(kind) {
        return Err("a raft message has a type that no peer may send".into());
    }
    let read = matches!(kind, MessageType::MsgReadIndex | MessageType::MsgReadIndexResp);
    if read && m.entries.len() != 1 {
        return Err("a read index message must carry one context".into());
    }
    // A follower passes a read index on to its leader, and the core insists that it has no term then.
    if (m.term == 0) != (kind == MessageType::MsgReadIndex) {
        return Err("a raft message has no term, or one that it must not have".into());
    }
    if kind == MessageType::MsgAppend {
        for (i, e) in m.entries.iter().enumerate() {
            if Some(e.index) != m.index.checked_add(1 + i as u64) || e.term > m.term || e.term < m.log_term {
                return Err("a raft append is not a run of entries".into());
            }
            match EntryType::from_i32(e.entry_type) {
                Some(EntryType::EntryNormal) => {}
                Some(EntryType::EntryConfChangeV2) if ConfChangeV2::decode(e.data.as_slice()).is_ok() => {}
                _ => return Err("a raft entry has an unknown type, or is a change of members that does not decode".into()),
            }
        }
    }
    if kind == MessageType::MsgSnapshot {
        let meta = m.snapshot.as_ref().and_then(|s| s.metadata.as_ref()).ok_or("a snapshot without metadata")?;
        if meta.index == 0 || meta.term == 0 || meta.term > m.term || !meta.conf_state.as_ref().is_some_and(is_sound) {
            return Err("a snapshot has impossible metadata".into());
        }
    }
    Ok(m)
}

fn from_message(mut m: Message, settled: u64) -> ffi::Msg {
    m.commit = m.commit.min(settled);
    ffi::Msg { from: m.from, to: m.to, kind: m.msg_type, term: m.term, index: m.index, commit: m.commit, reject: m.reject, bytes: m.encode_to_vec() }
}

pub(crate) fn from_messages(v: Vec<Message>, settled: u64) -> Vec<ffi::Msg> {
    v.into_iter().flat_map(in_pieces).map(|m| from_message(m, settled)).collect()
}

/// The core puts all that it appends to one follower in one turn into one message, however large: for a follower that
/// comes back after hours, more than a transport takes. In order, the pieces mean the same.
fn in_pieces(mut m: Message) -> Vec<Message> {
    const LARGEST: usize = 1 << 20; // unless one entry is larger
    let mut pieces = vec![];
    loop {
        let mut bytes = 0;
        let fit = m.entries.iter().take_while(|e| { bytes += e.data.len(); bytes <= LARGEST }).count().max(1);
        if fit >= m.entries.len() {
            pieces.push(m);
            return pieces;
        }
        let rest = m.entries.split_off(fit);
        let first = std::mem::take(&mut m.entries);
        let mut piece = m.clone();
        (piece.entries, m.entries) = (first, rest);
        let last = &piece.entries[fit - 1];
        (m.index, m.log_term) = (last.index, last.term);
        pieces.push(piece);
    }
}
