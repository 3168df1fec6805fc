//! imgit: git for container images and VM disks.
