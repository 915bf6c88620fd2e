//! The Python face of the media core: converts values, releases the GIL, maps errors. No logic lives here.

mod convert;
mod engine;
mod signal;

use pyo3::create_exception;
use pyo3::exceptions::PyRuntimeError;
use pyo3::prelude::*;

/// Only for this extension's own allocations; Python keeps its allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

create_exception!(_native, EngineClosed, PyRuntimeError, "The engine was closed, or the process has forked.");
create_exception!(_native, EngineFull, PyRuntimeError, "Too many commands wait; nothing was applied.");

#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("SOURCE_DIGEST", env!("AURALINK_SOURCE_DIGEST"))?;
    module.add("EngineClosed", module.py().get_type::<EngineClosed>())?;
    module.add("EngineFull", module.py().get_type::<EngineFull>())?;
    module.add_class::<engine::Engine>()?;
    module.add_class::<signal::SignalHub>()?;
    module.add_class::<signal::SignalSocket>()
}
