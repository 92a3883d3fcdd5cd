//! Machines of their own with a real systemd: a fresh Debian in a container, for root only.
//!
//! ```text
//! let Some(image) = Image::debian("the test of …", &[]) else { return };
//! let mut machine = Machine::new(&image);
//! machine.install_tree();          // or put("bytchat.deb", "/root/…"), then run(&["dpkg", …])
//! machine.boot();
//! machine.run(&["systemctl", "start", "bytchatd"]).ok();
//! ```

mod container;
mod image;
mod install;

pub use container::Machine;
pub use image::Image;
