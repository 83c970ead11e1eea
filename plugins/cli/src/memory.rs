//! How the process holds its memory.

/// Has the allocator keep what chunks gave back for those that come after them.
///
/// The C library gives blocks of megabytes back to the system at once, and each page of the next has to be had, and cleared,
/// anew: up to a fifth of the time of decoding. The process holds some more for it (`docs/performance.md`, fresh memory).
pub fn keep() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        /// Larger blocks are mapped by themselves: the most that the C library takes, half of an arena's piece.
        const MAPPED_FROM: libc::c_int = 32 << 20;
        const GIVEN_BACK_FROM: libc::c_int = 1 << 30;
        // SAFETY: sets two numbers of the C library's allocator, while there are no other threads. A refusal changes nothing.
        unsafe {
            libc::mallopt(libc::M_MMAP_THRESHOLD, MAPPED_FROM);
            libc::mallopt(libc::M_TRIM_THRESHOLD, GIVEN_BACK_FROM);
        }
    }
}
