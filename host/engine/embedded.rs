//! The component that is part of this binary, as machine code for this machine.
//!
//! It is run where the kernel has mapped it: copying it would take longer than
//! most verbs do. The pages are the binary's own, read-only, and become
//! executable as well; they are never writable.

use super::{config, tick};
use rustix::mm::{MprotectFlags, mprotect};
use std::ptr::NonNull;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use wasmtime::component::Component;
use wasmtime::{Config, CustomCodeMemory, Engine, Error, Result};

/// The largest page that a machine of this kind has, in bytes. The code begins
/// and ends on such a boundary within [`COMPONENT`].
const PAGE_BYTES_MAX: usize = if cfg!(target_arch = "x86_64") { 4_096 } else { 65_536 };

/// Gives bytes a place at the beginning of a page.
#[repr(C)]
#[cfg_attr(target_arch = "x86_64", repr(align(4_096)))]
#[cfg_attr(not(target_arch = "x86_64"), repr(align(65_536)))]
struct Aligned<B: ?Sized>(B);

const _: () = assert!(align_of::<Aligned<[u8; 0]>>() == PAGE_BYTES_MAX);

static COMPONENT: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/component.cwasm")));

/// Whether somebody has taken the code where it is. wasmtime knows code by its address, and would not take the same one
/// twice, even if the first engine is gone.
static TAKEN: AtomicBool = AtomicBool::new(false);

/// The engine of single calls with the component, made by whoever needs it first.
static LOADED: LazyLock<Result<(Engine, Component), String>> =
    LazyLock::new(|| load(config::config()).map_err(|error| format!("{error:#}")));

/// Returns the engine, whose epoch advances, and the component.
pub(super) fn component() -> Result<(Engine, Component)> {
    LOADED.clone().map_err(Error::msg)
}

/// Makes an engine with this configuration, whose epoch advances, and loads the component. Whoever is first in a process
/// runs the code where it is, and everybody else a copy.
pub(super) fn load(mut config: Config) -> Result<(Engine, Component)> {
    let is_first = !TAKEN.swap(true, Ordering::Relaxed);
    if is_first {
        config.with_custom_code_memory(Some(Arc::new(InPlace)));
    }
    let engine = Engine::new(&config)?;
    // SAFETY: `build.rs` made these bytes with the same version of wasmtime and
    // the same configuration, as far as it concerns code. They are part of this binary,
    // so that they stay where they are, and nobody can write to them.
    let component = unsafe {
        match is_first {
            true => Component::deserialize_raw(&engine, NonNull::from(&COMPONENT.0))?,
            false => Component::deserialize(&engine, &COMPONENT.0)?,
        }
    };
    tick(&engine);
    Ok((engine, component))
}

/// Makes code executable where it is, for good.
struct InPlace;

impl CustomCodeMemory for InPlace {
    fn required_alignment(&self) -> usize {
        PAGE_BYTES_MAX
    }

    fn publish_executable(&self, code: *const u8, length: usize) -> Result<()> {
        // SAFETY: the range is the code within `COMPONENT`, which has pages of its own and which no Rust code reads
        // by a reference that expects it not to be executable.
        unsafe { mprotect(code.cast_mut().cast(), length, MprotectFlags::READ | MprotectFlags::EXEC)? };
        Ok(())
    }

    fn unpublish_executable(&self, _: *const u8, _: usize) -> Result<()> {
        // It stays as it is: nobody else will have it there.
        Ok(())
    }
}
