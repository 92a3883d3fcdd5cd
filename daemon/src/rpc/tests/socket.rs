//! Binding the socket, with care for who else may use its path.

use std::os::unix::fs::PermissionsExt;

use super::super::{MODE_SYSTEM, RpcServeError};
use super::*;

#[tokio::test]
async fn a_second_daemon_is_told_whose_socket_it_is() {
    let world = world();
    let error = Listener::bind(&config(&world.dir)).unwrap_err();
    assert!(matches!(error, RpcServeError::InUse { .. }), "{error}");
    let text = error.to_string();
    assert!(text.contains(world.socket().to_str().unwrap()), "{text}");
    assert!(text.contains("--socket"), "{text}");
    world.connect().await.assert_well().await;
}

#[tokio::test]
async fn a_socket_that_another_program_serves_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    let config = RpcConfig { socket: dir.path().join("s"), mode: MODE_USER };
    let _other = std::os::unix::net::UnixListener::bind(&config.socket).unwrap();
    let error = Listener::bind(&config).unwrap_err();
    assert!(matches!(error, RpcServeError::InUse { .. }), "{error}");
}

#[tokio::test]
async fn a_stale_socket_is_replaced_and_a_file_is_not() {
    let dir = tempfile::tempdir().unwrap();
    let config = RpcConfig { socket: dir.path().join("s"), mode: MODE_SYSTEM };
    drop(std::os::unix::net::UnixListener::bind(&config.socket).unwrap());
    assert!(config.socket.exists());
    let listener = Listener::bind(&config).unwrap();
    let mode = std::fs::metadata(&config.socket).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o666);
    drop(listener);
    assert!(!config.socket.exists());
    std::fs::write(&config.socket, "precious").unwrap();
    let error = Listener::bind(&config).unwrap_err();
    assert!(matches!(error, RpcServeError::NotASocket { .. }), "{error}");
    assert_eq!(std::fs::read_to_string(&config.socket).unwrap(), "precious");
}

#[tokio::test]
async fn a_user_s_socket_lies_in_a_private_directory() {
    let world = world();
    let socket = world.socket();
    let mode = |path: &std::path::Path| std::fs::metadata(path).unwrap().permissions().mode();
    assert_eq!(mode(&socket) & 0o777, 0o600);
    assert_eq!(mode(socket.parent().unwrap()) & 0o777, 0o700);
}

#[tokio::test]
async fn a_socket_that_was_handed_over_is_served_and_left_where_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let socket = std::os::unix::net::UnixListener::bind(&path).unwrap();
    for _ in 0..2 {
        let (tx, words) = mpsc::channel(1024);
        let (stop, stopped) = watch::channel(false);
        let listener = Listener::adopt(socket.try_clone().unwrap()).unwrap();
        // Who called before anybody served waits and is answered.
        let early = UnixStream::connect(&path).await.unwrap();
        let serving =
            tokio::spawn(listener.serve(Arc::new(Fake::new(tx, Arc::default())), stopped));
        Client::of(early).assert_well().await;
        stop.send(true).unwrap();
        serving.await.unwrap();
        drop(words);
        assert!(path.exists());
    }
}
