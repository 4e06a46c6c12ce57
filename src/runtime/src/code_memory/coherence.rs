//! Coherence: what it takes that a core runs the code that is there now, and not what was there before.
//!
//! x86 keeps instruction caches coherent with stores, by physical address, so there is nothing to flush, and no matter
//! that the store went through another mapping. What coherence leaves open is what a core has already fetched into its
//! pipeline. There the manuals ask for a serialising instruction on the executing core, between learning of the
//! modification and executing it (Intel SDM volume 3A, "Handling Self- and Cross-Modifying Code", section 9.1.3, and
//! "Self-Modifying Code", for stores through another linear address; AMD APM volume 2, "Cross-Modifying Code").
//!
//! - *Memory never used before.* No branch has ever gone to these addresses, so no core predicts one that goes there.
//!   A thread comes to know the address by a load that sees the store publishing it; x86 keeps stores in order and
//!   loads in order, so the code is complete by then, and the indirect jump depends on that load. (Besides, the first
//!   fetch from a page faults, and the IRET that ends the fault serialises.)
//! - *Memory used again.* Branch predictors remember the addresses, and a core may hold old instructions from there.
//!   Freed memory is therefore filled with int3 and retired, and before it is handed out again a barrier makes every
//!   core that runs a thread of this process execute a serialising instruction: on x86 the IRET of the interrupt that
//!   it sends, and for threads that are not running the way back from the scheduler. After it no core holds an
//!   instruction older than the int3s. One barrier serves a batch of retired memory, so that the common path has no
//!   system call ([`ArenaStats::barriers`](super::ArenaStats::barriers) counts them).
//! - *Memory that is protected by turns* is no different. Besides, freed memory cannot be executed at all there, so a stale
//!   jump faults whatever the core holds.
//! - *What is left to the hardware* is a core that runs ahead into a block of used memory on a stale prediction, between
//!   the barrier and the last store into the block, if the address published afterwards proves the prediction right.
//!   To the letter of the manuals it would have to serialise after learning the address, which costs a system call or
//!   a trap into a hypervisor for each trace. Processors discard what they have in flight from a line that is being
//!   written (the check goes by physical line); other engines that map code twice rely on that as well.
#![allow(unsafe_code)]

use rustix::thread::{MembarrierCommand, membarrier};
use std::arch::asm;

/// A command that makes every core forget instructions it has fetched for this process, registered for it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Barrier(MembarrierCommand);

impl Barrier {
    /// The strongest barrier there is; none before Linux 4.14 and in some sandboxes.
    ///
    /// The second choice promises to order memory only. It interrupts every core that runs a thread of this process all
    /// the same, and the interrupt's IRET serialises; a thread that is not running has the scheduler before it.
    pub(super) fn register() -> Option<Self> {
        use MembarrierCommand as Command;
        let choices = [
            (
                Command::RegisterPrivateExpeditedSyncCore,
                Command::PrivateExpeditedSyncCore,
            ),
            (Command::RegisterPrivateExpedited, Command::PrivateExpedited),
        ];
        let registered =
            |(register, command)| membarrier(register).is_ok().then_some(Self(command));
        choices.into_iter().find_map(registered)
    }

    /// Waits until every core has forgotten. Says whether that was so.
    pub(super) fn wait(self) -> bool {
        membarrier(self.0).is_ok()
    }
}

/// Tells valgrind, if the process runs under it, that code at these addresses will be other code. It translates the code
/// at an address once, and does not look for changes in mappings of files.
///
/// This is a valgrind client request, an instruction sequence that does nothing on a processor (the manual's chapter
/// "The Client Request mechanism"; number 0x1002 is `VG_USERREQ__DISCARD_TRANSLATIONS`).
pub(super) fn discard_translations(address: usize, len: usize) {
    let request = [0x1002, address, len, 0, 0, 0];
    // SAFETY: rdi is rotated by 128 bits in all and rbx exchanged with itself: both are unchanged. Under valgrind the six
    // words that rax points to are read, and the answer is put into rdx.
    unsafe {
        asm!(
            "rol rdi, 3",
            "rol rdi, 13",
            "rol rdi, 61",
            "rol rdi, 51",
            "xchg rbx, rbx",
            in("rax") request.as_ptr(),
            inout("rdx") 0usize => _,
            options(nostack),
        );
    }
}
