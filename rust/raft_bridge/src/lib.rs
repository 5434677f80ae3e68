// SPDX-License-Identifier: Apache-2.0
//! A thin bridge to the `raft` crate: the consensus core is a pure state machine; C++ owns its clock, log and network.

mod messages;

use messages::{decode_checked, from_messages};
use prost::Message as _;
use raft::eraftpb::{ConfChangeSingle, ConfChangeTransition, ConfChangeType, ConfChangeV2, ConfState, Entry, HardState, Message, MessageType, Snapshot};
use raft::storage::{GetEntriesContext, RaftState, Storage};
use raft::{Config, ProgressState, RawNode, ReadOnlyOption, Ready, StateRole, StorageError};

#[cxx::bridge(namespace = "evercert::store::bridge")]
mod ffi {
    struct Options {
        id: u64,
        election_tick: usize,
        heartbeat_tick: usize,
        applied: u64,
    }
    /// A change of the members: see propose_change.
    struct MembersChange {
        learners: Vec<u64>,
        voters: Vec<u64>,
        removed: Vec<u64>,
        joint: bool,
        lineage: Vec<u8>,
    }
    /// Who votes (in a joint configuration: in each half), and who only follows.
    struct Members {
        voters: Vec<u64>,
        outgoing: Vec<u64>,
        learners: Vec<u64>,
    }
    struct BridgeEntry {
        index: u64,
        term: u64,
        kind: i32,
        data: Vec<u8>,
    }
    struct Msg {
        from: u64,
        to: u64,
        kind: i32,
        term: u64,
        index: u64,
        commit: u64,
        reject: bool,
        bytes: Vec<u8>,
    }
    struct ReadIndex {
        index: u64,
        context: Vec<u8>,
    }
    struct BridgeSnapshot {
        present: bool,
        index: u64,
        term: u64,
        members: Members,
    }
    struct Work {
        messages: Vec<Msg>,
        persisted_messages: Vec<Msg>,
        entries: Vec<BridgeEntry>,
        committed: Vec<BridgeEntry>,
        reads: Vec<ReadIndex>,
        has_hard_state: bool,
        term: u64,
        vote: u64,
        commit: u64,
        must_sync: bool,
        snapshot: BridgeSnapshot,
    }
    struct Follower {
        id: u64,
        matched: u64,
        recent_active: bool,
    }
    struct Facts {
        role: i32,
        term: u64,
        vote: u64,
        leader: u64,
        commit: u64,
        applied: u64,
        last: u64,
    }
    struct Initial {
        term: u64,
        vote: u64,
        commit: u64,
        members: Members,
    }
    unsafe extern "C++" {
        include!("store/raft/bridge_storage.h");
        type BridgeStorage;
        fn initial(self: &BridgeStorage) -> Initial;
        /// False: compacted or damaged.
        fn entries(self: &BridgeStorage, low: u64, high: u64, max_bytes: u64, out: &mut Vec<BridgeEntry>) -> bool;
        /// 0: not known (compacted or beyond the end).
        fn term(self: &BridgeStorage, index: u64) -> i64;
        fn first_index(self: &BridgeStorage) -> u64;
        /// A follower that lacks everything from `low` is to be sent the state, though its log is here.
        fn prefers_state(self: &BridgeStorage, low: u64) -> bool;
        fn last_index(self: &BridgeStorage) -> u64;
        fn snapshot(self: &BridgeStorage, to: u64) -> BridgeSnapshot;
    }
    extern "Rust" {
        type Core;
        fn make_core(options: &Options, storage: UniquePtr<BridgeStorage>) -> Result<Box<Core>>;
        fn set_election_timeout(self: &mut Core, ticks: usize);
        fn tick(self: &mut Core) -> bool;
        fn propose(self: &mut Core, data: &[u8]) -> bool;
        /// A change of the members: learners that are to follow, voters, and who is to be neither. With `joint` through a
        /// configuration of both halves, which is left by a change of nothing.
        fn propose_change(self: &mut Core, learners: &[u64], voters: &[u64], removed: &[u64], joint: bool, lineage: &[u8]) -> bool;
        fn read_change(data: &[u8]) -> Result<MembersChange>;
        /// A committed change takes effect in the core. What cannot be, or is of another lineage, changes nothing.
        fn apply_change(self: &mut Core, data: &[u8], lineage: &[u8]) -> Result<Members>;
        fn step(self: &mut Core, bytes: &[u8], from: u64, may_vote: bool) -> Result<Msg>;
        fn has_ready(self: &Core) -> bool;
        fn ready(self: &mut Core) -> Work;
        fn advance_append(self: &mut Core) -> Work;
        fn advance_applied(self: &mut Core, index: u64);
        fn tell_commit(self: &mut Core);
        fn set_settled(self: &mut Core, index: u64);
        fn campaign(self: &mut Core) -> bool;
        fn transfer_leader(self: &mut Core, to: u64);
        fn read_index(self: &mut Core, context: &[u8]);
        fn report_unreachable(self: &mut Core, id: u64);
        fn report_snapshot(self: &mut Core, id: u64, ok: bool);
        fn report_new_life(self: &mut Core, id: u64);
        fn facts(self: &Core) -> Facts;
        fn broken(self: &Core) -> bool;
        /// At once; from C++ a vector can only be filled byte by byte.
        fn copied(bytes: &[u8]) -> Vec<u8>;
        fn followers(self: &Core) -> Vec<Follower>;
    }
}

fn copied(bytes: &[u8]) -> Vec<u8> {
    bytes.to_vec()
}

fn to_conf_state(m: ffi::Members) -> ConfState {
    ConfState { voters: m.voters, voters_outgoing: m.outgoing, learners: m.learners, ..Default::default() }
}
fn from_conf_state(c: ConfState) -> ffi::Members {
    ffi::Members { voters: c.voters, outgoing: c.voters_outgoing, learners: c.learners }
}

fn read_change(data: &[u8]) -> Result<ffi::MembersChange, String> {
    let change = ConfChangeV2::decode(data).map_err(|e| format!("a change of members does not decode: {e}"))?;
    let of = |kind: ConfChangeType| change.changes.iter().filter(|c| c.change_type == kind as i32).map(|c| c.node_id).collect();
    Ok(ffi::MembersChange {
        learners: of(ConfChangeType::AddLearnerNode),
        voters: of(ConfChangeType::AddNode),
        removed: of(ConfChangeType::RemoveNode),
        joint: change.transition == ConfChangeTransition::Explicit as i32,
        lineage: change.context,
    })
}

struct Log {
    cpp: cxx::UniquePtr<ffi::BridgeStorage>,
}

fn to_entry(e: ffi::BridgeEntry) -> Entry {
    Entry { entry_type: e.kind, term: e.term, index: e.index, data: e.data, context: vec![], sync_log: false }
}
fn from_entry(e: Entry) -> ffi::BridgeEntry {
    ffi::BridgeEntry { index: e.index, term: e.term, kind: e.entry_type, data: e.data }
}

impl Storage for Log {
    fn initial_state(&self) -> raft::Result<RaftState> {
        let i = self.cpp.initial();
        Ok(RaftState {
            hard_state: HardState { term: i.term, vote: i.vote, commit: i.commit },
            conf_state: to_conf_state(i.members),
        })
    }
    fn entries(&self, low: u64, high: u64, max: impl Into<Option<u64>>, context: GetEntriesContext) -> raft::Result<Vec<Entry>> {
        // Only reads for a follower may wait: these go to it.
        if low < self.cpp.first_index() || (context.can_async() && self.cpp.prefers_state(low)) {
            return Err(raft::Error::Store(StorageError::Compacted));
        }
        let mut out = vec![];
        if !self.cpp.entries(low, high, max.into().unwrap_or(u64::MAX), &mut out) {
            return Err(raft::Error::Store(StorageError::Unavailable));
        }
        Ok(out.into_iter().map(to_entry).collect())
    }
    fn term(&self, index: u64) -> raft::Result<u64> {
        match self.cpp.term(index) {
            t if t >= 0 => Ok(t as u64),
            _ if index < self.cpp.first_index() => Err(raft::Error::Store(StorageError::Compacted)),
            _ => Err(raft::Error::Store(StorageError::Unavailable)),
        }
    }
    fn first_index(&self) -> raft::Result<u64> {
        Ok(self.cpp.first_index())
    }
    fn last_index(&self) -> raft::Result<u64> {
        Ok(self.cpp.last_index())
    }
    fn snapshot(&self, _request_index: u64, to: u64) -> raft::Result<Snapshot> {
        let meta = self.cpp.snapshot(to);
        if !meta.present {
            return Err(raft::Error::Store(StorageError::SnapshotTemporarilyUnavailable));
        }
        let mut s = Snapshot::default();
        s.mut_metadata().index = meta.index;
        s.mut_metadata().term = meta.term;
        s.mut_metadata().conf_state = Some(to_conf_state(meta.members));
        Ok(s)
    }
}

pub struct Core {
    node: RawNode<Log>,
    ready: Option<Ready>,
    /// The core has found its own state impossible. It must not be used any more; the replica must stop.
    broken: bool,
    /// The term in which this replica leads and has sent ahead, and the index of that term's first entry.
    ahead_term: u64,
    ahead_index: u64,
    /// Nobody is told that more than this is committed.
    settled: u64,
}

fn make_core(o: &ffi::Options, storage: cxx::UniquePtr<ffi::BridgeStorage>) -> Result<Box<Core>, raft::Error> {
    let config = Config {
        id: o.id,
        election_tick: o.election_tick,
        heartbeat_tick: o.heartbeat_tick,
        applied: o.applied,
        // 8 MiB under way to a follower that catches up: fast over an ocean, and it holds up nobody else.
        max_size_per_msg: 64 << 10,
        max_inflight_msgs: 128,
        // Time-outs are set from outside (set_election_timeout); the core refuses longer ones.
        max_election_tick: 16 * o.election_tick,
        check_quorum: true,
        pre_vote: true,
        read_only_option: ReadOnlyOption::Safe,
        max_uncommitted_size: 64 << 20,
        max_committed_size_per_ready: 4 << 20,
        // What is proposed in one turn leaves in one append and comes back in one acknowledgement.
        batch_append: true,
        // tell_commit() does it, when nothing else will carry the news.
        skip_bcast_commit: true,
        ..Default::default()
    };
    config.validate()?;
    static QUIET: std::sync::Once = std::sync::Once::new();
    QUIET.call_once(|| std::panic::set_hook(Box::new(|what| eprintln!("evercert: the consensus core asserts: {what}"))));
    let logger = slog::Logger::root(slog::Discard, slog::o!());
    Ok(Box::new(Core { node: RawNode::new(&config, Log { cpp: storage }, &logger)?, ready: None, broken: false, ahead_term: 0, ahead_index: 0, settled: u64::MAX }))
}

fn from_entries(v: Vec<Entry>) -> Vec<ffi::BridgeEntry> {
    v.into_iter().map(from_entry).collect()
}

fn empty_work() -> ffi::Work {
    ffi::Work {
        messages: vec![],
        persisted_messages: vec![],
        entries: vec![],
        committed: vec![],
        reads: vec![],
        has_hard_state: false,
        term: 0,
        vote: 0,
        commit: 0,
        must_sync: false,
        snapshot: ffi::BridgeSnapshot { present: false, index: 0, term: 0, members: from_conf_state(ConfState::default()) },
    }
}

impl Core {
    /// The core asserts what must never be. That ends this replica, not without a word and not in the middle of C++.
    fn guarded<T>(&mut self, otherwise: T, work: impl FnOnce(&mut Self) -> T) -> T {
        if self.broken {
            return otherwise;
        }
        match std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(self))) {
            Ok(value) => value,
            Err(_) => {
                self.broken = true;
                otherwise
            }
        }
    }
    fn broken(&self) -> bool {
        self.broken
    }
    fn set_election_timeout(&mut self, ticks: usize) {
        self.guarded((), |c| c.node.raft.set_randomized_election_timeout(ticks))
    }
    fn tick(&mut self) -> bool {
        self.guarded(false, |c| {
            let worth = c.node.tick();
            c.send_ahead();
            worth
        })
    }
    fn propose(&mut self, data: &[u8]) -> bool {
        self.guarded(false, |c| c.node.raft.state == StateRole::Leader && c.node.propose(vec![], data.to_vec()).is_ok())
    }
    fn propose_change(&mut self, learners: &[u64], voters: &[u64], removed: &[u64], joint: bool, lineage: &[u8]) -> bool {
        let mut change = ConfChangeV2 { context: lineage.to_vec(), ..Default::default() };
        for (ids, kind) in [(learners, ConfChangeType::AddLearnerNode), (voters, ConfChangeType::AddNode), (removed, ConfChangeType::RemoveNode)] {
            change.changes.extend(ids.iter().map(|id| ConfChangeSingle { node_id: *id, change_type: kind as i32 }));
        }
        if joint {
            change.set_transition(ConfChangeTransition::Explicit);
        }
        self.guarded(false, |c| c.node.raft.state == StateRole::Leader && c.node.propose_conf_change(vec![], change).is_ok())
    }
    fn apply_change(&mut self, data: &[u8], lineage: &[u8]) -> Result<ffi::Members, String> {
        let change = ConfChangeV2::decode(data).map_err(|e| format!("a change of members does not decode: {e}"))?;
        self.guarded(Err("the consensus core has stopped".into()), |c| {
            if change.context == lineage {
                let _ = c.node.apply_conf_change(&change); // the core refuses what cannot be, on every replica alike
            }
            // Whoever leads or stands without a vote began before it learned that it is removed. The core leaves it to us, and
            // would not find itself among the members when it wins.
            let raft = &mut c.node.raft;
            if raft.state != StateRole::Follower && !raft.prs().conf().voters().contains(raft.id) {
                raft.become_follower(raft.term, raft::INVALID_ID);
            }
            Ok(from_conf_state(c.node.raft.prs().conf().to_conf_state()))
        })
    }
    fn step(&mut self, bytes: &[u8], from: u64, may_vote: bool) -> Result<ffi::Msg, String> {
        let m = decode_checked(bytes)?;
        if m.from != from || m.to != self.node.raft.id {
            return Err("a raft message is not from the peer that brought it, or not for this replica".into());
        }
        let asks_for_vote = m.msg_type == MessageType::MsgRequestVote as i32 || m.msg_type == MessageType::MsgRequestPreVote as i32;
        if asks_for_vote && !may_vote {
            return Err("this replica does not vote until it has caught up".into());
        }
        let facts = ffi::Msg { from, to: m.to, kind: m.msg_type, term: m.term, index: m.index, commit: m.commit, reject: m.reject, bytes: vec![] };
        let log = &self.node.raft.raft_log;
        // The core asserts that a commit index lies inside its log. A leader that remembers more of this replica than the
        // replica itself does (its disk was lost) would trip that. (One of an older term is answered, so that it steps down.)
        let current = m.term >= self.node.raft.term;
        if current && m.msg_type == MessageType::MsgHeartbeat as i32 && m.commit > log.last_index() {
            return Err("the leader believes in entries that this replica does not have".into());
        }
        if m.msg_type == MessageType::MsgAppendResponse as i32 && !m.reject && m.index > log.last_index() {
            return Err("an acknowledgement lies beyond the end of the log".into());
        }
        self.guarded(Err("the consensus core has stopped".into()), |c| {
            c.look_back(&m);
            let stepped = c.node.step(m).map_err(|e| e.to_string());
            c.send_ahead();
            stepped
        })
        .map(|()| facts)
    }
    /// A new leader of the core sends one append to each follower and waits for the answer: for a whole round trip,
    /// whatever clients propose would lie here. Followers nearly always have what the new leader knows to be committed,
    /// so everything after that is sent at once, and what follows is sent as it comes. Nothing is counted as matched
    /// before it is acknowledged; a follower that does lack something earlier says so (look_back).
    ///
    /// A follower may know of more that is committed, and ignores an append that begins before. So the first entries
    /// go one by one: what begins where it stands is taken, and all that follows it.
    fn send_ahead(&mut self) {
        const MOST: u64 = 1000; // a longer tail may well be a tail that nobody has: ask first
        const SINGLE: usize = 64;
        let raft = &mut self.node.raft;
        if raft.state != StateRole::Leader || raft.term == self.ahead_term {
            return;
        }
        let (first, committed) = (raft.raft_log.last_index(), raft.raft_log.committed);
        (self.ahead_term, self.ahead_index) = (raft.term, first);
        let from = if first - committed > MOST { first } else { committed + 1 };
        raft.msgs.retain(|m| m.msg_type != MessageType::MsgAppend as i32);
        let own = raft.id;
        let others: Vec<u64> = raft.prs().iter().map(|(id, _)| *id).filter(|id| *id != own).collect();
        let largest = raft.max_msg_size;
        raft.set_batch_append(false);
        for id in others {
            let Some(progress) = raft.mut_prs().get_mut(id) else { continue };
            progress.become_replicate();
            progress.next_idx = from;
            let (mut reached, mut sent) = (0, 0);
            while let Some(next) = raft.prs().get(id).map(|p| p.next_idx).filter(|next| *next <= first && *next > reached) {
                reached = next;
                raft.max_msg_size = if sent < SINGLE { 0 } else { largest };
                raft.send_append(id);
                sent += 1;
            }
        }
        raft.max_msg_size = largest;
        raft.set_batch_append(true);
    }
    /// The core takes a follower that it replicates to for one that has acknowledged something, and would go back to that
    /// when entries are missing: to the beginning of the log, if there was no acknowledgement yet. Back to a probe from
    /// where the follower says that it stands instead.
    fn look_back(&mut self, m: &Message) {
        let raft = &mut self.node.raft;
        if raft.state == StateRole::Leader && m.term == raft.term && m.msg_type == MessageType::MsgAppendResponse as i32 && m.reject {
            let next = m.index.saturating_add(1).min(raft.raft_log.last_index() + 1);
            // The core would put the entries that it goes back to into an append without entries that waits to be sent,
            // wherever that one begins.
            raft.msgs.retain(|waiting| waiting.to != m.from || waiting.msg_type != MessageType::MsgAppend as i32 || !waiting.entries.is_empty());
            self.probe_again(m.from, next);
        }
    }
    /// As if the leader had been silent for the least time-out: this replica votes for others, and stands itself when the
    /// rest of its own, longer one has passed. A leader that is well after all is heard before that.
    fn leader_gone(&mut self) {
        let raft = &mut self.node.raft;
        raft.election_elapsed = raft.election_elapsed.max(raft.election_timeout());
    }
    fn probe_again(&mut self, id: u64, next: u64) {
        let Some(progress) = self.node.raft.mut_prs().get_mut(id) else { return };
        if progress.state == ProgressState::Replicate && progress.matched == 0 {
            progress.become_probe();
            progress.next_idx = next;
        }
    }
    fn has_ready(&self) -> bool {
        !self.broken && self.ready.is_none() && self.node.has_ready()
    }
    fn ready(&mut self) -> ffi::Work {
        self.guarded(empty_work(), |c| c.take_ready())
    }
    fn take_ready(&mut self) -> ffi::Work {
        let mut r = self.node.ready();
        let mut w = empty_work();
        if let Some(h) = r.hs() {
            w.has_hard_state = true;
            (w.term, w.vote, w.commit) = (h.term, h.vote, h.commit);
        }
        w.must_sync = r.must_sync();
        if r.snapshot().get_metadata().index != 0 {
            let meta = r.snapshot().get_metadata();
            let members = from_conf_state(meta.get_conf_state().clone());
            w.snapshot = ffi::BridgeSnapshot { present: true, index: meta.index, term: meta.term, members };
        }
        w.messages = from_messages(r.take_messages(), self.settled);
        w.persisted_messages = from_messages(r.take_persisted_messages(), self.settled);
        w.committed = from_entries(r.take_committed_entries());
        w.entries = from_entries(r.take_entries());
        w.reads = r.take_read_states().into_iter().map(|s| ffi::ReadIndex { index: s.index, context: s.request_ctx }).collect();
        self.ready = Some(r);
        w
    }
    /// To be called when entries and hard state of ready() are durable.
    fn advance_append(&mut self) -> ffi::Work {
        self.guarded(empty_work(), |c| c.advance())
    }
    fn advance(&mut self) -> ffi::Work {
        let mut w = empty_work();
        let Some(r) = self.ready.take() else { return w };
        let mut light = self.node.advance_append(r);
        if let Some(commit) = light.commit_index() {
            w.has_hard_state = true;
            w.commit = commit;
        }
        w.messages = from_messages(light.take_messages(), self.settled);
        w.committed = from_entries(light.take_committed_entries());
        w
    }
    fn advance_applied(&mut self, index: u64) {
        self.guarded((), |c| c.node.advance_apply_to(index))
    }
    /// An append to every follower with the commit index of now, empty where nothing is to be sent.
    fn tell_commit(&mut self) {
        self.guarded((), |c| {
            if c.node.raft.state == StateRole::Leader {
                c.node.raft.bcast_append();
            }
        })
    }
    fn set_settled(&mut self, index: u64) {
        self.settled = index;
    }
    fn campaign(&mut self) -> bool {
        self.guarded(false, |c| {
            let begun = c.node.campaign().is_ok();
            c.send_ahead();
            begun
        })
    }
    fn transfer_leader(&mut self, to: u64) {
        self.guarded((), |c| c.node.transfer_leader(to))
    }
    fn read_index(&mut self, context: &[u8]) {
        self.guarded((), |c| c.node.read_index(context.to_vec()))
    }
    fn report_unreachable(&mut self, id: u64) {
        self.guarded((), |c| {
            if c.node.raft.state == StateRole::Leader {
                c.probe_again(id, c.ahead_index);
            } else if c.node.raft.leader_id == id {
                c.leader_gone();
            }
            c.node.report_unreachable(id)
        })
    }
    fn report_snapshot(&mut self, id: u64, ok: bool) {
        let status = if ok { raft::SnapshotStatus::Finish } else { raft::SnapshotStatus::Failure };
        self.guarded((), |c| c.node.report_snapshot(id, status))
    }
    /// The node may have lost its log. What it acknowledged before counts no more; where it stands, an append tells.
    fn report_new_life(&mut self, id: u64) {
        self.guarded((), |c| {
            let raft = &mut c.node.raft;
            if raft.state != StateRole::Leader || id == raft.id {
                return;
            }
            let next = raft.raft_log.last_index() + 1;
            if let Some(progress) = raft.mut_prs().get_mut(id) {
                progress.become_probe();
                (progress.matched, progress.next_idx, progress.pending_request_snapshot) = (0, next, raft::INVALID_INDEX);
            }
        })
    }
    fn facts(&self) -> ffi::Facts {
        let r = &self.node.raft;
        ffi::Facts {
            role: match r.state {
                StateRole::Follower => 0,
                StateRole::Candidate => 1,
                StateRole::Leader => 2,
                StateRole::PreCandidate => 3,
            },
            term: r.term,
            vote: r.vote,
            leader: r.leader_id,
            commit: r.raft_log.committed,
            applied: r.raft_log.applied,
            last: r.raft_log.last_index(),
        }
    }
    fn followers(&self) -> Vec<ffi::Follower> {
        let r = &self.node.raft;
        r.prs().iter().filter(|(id, _)| **id != r.id).map(|(id, p)| ffi::Follower { id: *id, matched: p.matched, recent_active: p.recent_active }).collect()
    }
}
