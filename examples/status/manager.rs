//! The connection of the service to the service manager of Windows.

use std::ffi::OsString;
use std::sync::mpsc;
use std::time::Duration;
use windows_service::service::{
    ServiceControl, ServiceControlAccept, ServiceExitCode, ServiceState, ServiceStatus, ServiceType,
};
use windows_service::service_control_handler::{
    self as control_handler, ServiceControlHandlerResult as Handled,
};
use windows_service::{define_windows_service, service_dispatcher};

const SERVICE: &str = "ShmkitExampleStatus";

define_windows_service!(entry, service_main);

/// Runs the service until the manager stops it. Fails if a user started the program, and not the
/// manager.
pub fn run() -> windows_service::Result<()> {
    service_dispatcher::start(SERVICE, entry)
}

/// Runs the service on a thread of the manager. A service has no terminal, so an error only changes
/// the exit code.
fn service_main(_arguments: Vec<OsString>) {
    let (stop, stopped) = mpsc::channel();
    let handler = move |control| match control {
        ServiceControl::Stop | ServiceControl::Shutdown => {
            let _ = stop.send(());
            Handled::NoError
        }
        ServiceControl::Interrogate => Handled::NoError,
        _ => Handled::NotImplemented,
    };

    let Ok(manager) = control_handler::register(SERVICE, handler) else {
        return;
    };

    let tell = |state, accepts, exit| {
        let _ = manager.set_service_status(ServiceStatus {
            service_type: ServiceType::OWN_PROCESS,
            current_state: state,
            controls_accepted: accepts,
            exit_code: ServiceExitCode::Win32(exit),
            checkpoint: 0,
            wait_hint: Duration::ZERO,
            process_id: None,
        });
    };

    let accepts = ServiceControlAccept::STOP | ServiceControlAccept::SHUTDOWN;
    tell(ServiceState::Running, accepts, 0);
    let exit = u32::from(super::serve(&stopped).is_err());
    tell(ServiceState::Stopped, ServiceControlAccept::empty(), exit);
}
