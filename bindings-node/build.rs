//! Linker settings of Node-API addons.

fn main() {
    napi_build::setup();
}
