//! Where the compiler runs: the toolchain and the modules unpacked and checked, a place to
//! build in, and the sandbox around all three.

use crate::bundle;
use crate::compile::{CompileError, Program};
use crate::host::tail;
use crate::lock::{HostPlatform, ToolchainLock};
use crate::sandbox::{Access, Confinement, Mount, Namespaces, Sandbox};
use crate::toolchain;
use imgbuild_base::{Arch, Digest, Events};
use std::io;
use std::path::{Path, PathBuf};

/// What a workshop is made of.
pub(crate) struct WorkshopRequest<'a> {
    /// The compiler, and its bundle for this host.
    pub(crate) toolchain: (&'a ToolchainLock, &'a Path),
    /// The modules' bundle and its digest.
    pub(crate) modules: (Digest, &'a Path),
    /// For which machine is compiled.
    pub(crate) arch: Arch,
    /// An existing empty directory.
    pub(crate) scratch: &'a Path,
    /// Whether to use namespaces.
    pub(crate) namespaces: Namespaces,
}

/// A place to compile in.
pub(crate) struct Workshop {
    sandbox: Sandbox,
    build: PathBuf,
    tools: PathBuf,
    host: HostPlatform,
    arch: Arch,
    confinement: Option<Confinement>,
}

impl Workshop {
    /// Unpacks what is needed.
    pub(crate) fn set_up(request: &WorkshopRequest<'_>) -> Result<Self, CompileError> {
        let host = HostPlatform::current().ok_or(CompileError::Host)?;
        let dir = |name: &str| -> io::Result<PathBuf> {
            let dir = fs_err::canonicalize(request.scratch)?.join(name);
            fs_err::create_dir_all(&dir)?;
            Ok(dir)
        };
        let (go, modules, build) = (dir("go")?, dir("modules")?, dir("build")?);
        toolchain::unpack(request.toolchain.0, host, request.toolchain.1, &go)?;
        bundle::unpack(request.modules.1, request.modules.0, &modules)?;
        for name in ["out", "tmp"] {
            fs_err::create_dir(build.join(name))?;
        }
        // Without this go counts its own use in its home directory and starts a second process.
        let telemetry = build.join("home/.config/go/telemetry");
        fs_err::create_dir_all(&telemetry)?;
        fs_err::write(telemetry.join("mode"), "off")?;
        Ok(Self {
            sandbox: Sandbox {
                mounts: vec![
                    mount("go", &go, Access::Read),
                    mount("modules", &modules, Access::Read),
                    mount("build", &build, Access::Write),
                ],
                root: dir("root")?,
                env: environment(request.arch),
                argv: Vec::new(),
                cwd: String::new(),
                namespaces: request.namespaces,
            },
            build,
            tools: dir("tools")?,
            host,
            arch: request.arch,
            confinement: None,
        })
    }

    /// A new directory to build in.
    pub(crate) fn dir(&self, name: &str) -> io::Result<PathBuf> {
        let dir = self.build.join(name);
        fs_err::create_dir_all(&dir)?;
        Ok(dir)
    }

    /// How well the compiler was confined; `None` before it ran.
    pub(crate) const fn confinement(&self) -> Option<Confinement> {
        self.confinement
    }

    /// Runs `go build` for a package in a directory that was made here.
    pub(crate) fn build(
        &mut self,
        name: &str,
        dir: &str,
        package: &str,
        flags: &[&str],
        events: &Events,
    ) -> Result<Program, CompileError> {
        let output = format!("{{build}}/out/{name}");
        let mut argv = vec!["{go}/bin/go", "build"];
        argv.extend(flags);
        argv.extend(["-o", &output, package]);
        self.sandbox.argv = argv.into_iter().map(str::to_owned).collect();
        self.sandbox.cwd = format!("{{build}}/{dir}");
        // One warning is enough for all programs.
        let quiet = Events::none();
        let first = self.confinement.is_none();
        let done = self.sandbox.run(if first { events } else { &quiet })?;
        self.confinement = Some(done.confinement);
        if !done.status.success() {
            return Err(CompileError::Go {
                program: name.to_owned(),
                arch: self.arch,
                status: done.status,
                stderr: tail(&done.stderr),
            });
        }
        Ok(Program {
            name: name.to_owned(),
            bytes: fs_err::read(self.build.join("out").join(name))?,
        })
    }

    /// Compiles a program of one file for this host, which `go` will find in its `PATH`.
    pub(crate) fn add_tool(
        &mut self,
        name: &str,
        source: &str,
        events: &Events,
    ) -> Result<(), CompileError> {
        let dir = self.dir(name)?;
        fs_err::write(dir.join("go.mod"), format!("module {name}\n"))?;
        fs_err::write(dir.join("main.go"), source)?;
        let target = std::mem::replace(&mut self.sandbox.env, environment(self.host.arch()));
        let built = self.build(name, name, ".", &["-trimpath", "-buildvcs=false"], events);
        self.sandbox.env = target;
        built?;
        // Where programs are written none may run.
        fs_err::rename(self.build.join("out").join(name), self.tools.join(name))?;
        if !self.sandbox.mounts.iter().any(|one| one.name == "tools") {
            self.sandbox
                .mounts
                .push(mount("tools", &self.tools, Access::Read));
            let path = ("PATH".to_owned(), "{tools}".to_owned());
            self.sandbox.env.push(path);
        }
        Ok(())
    }
}

fn mount(name: &str, host: &Path, access: Access) -> Mount {
    Mount {
        name: name.to_owned(),
        host: host.to_owned(),
        inside: Path::new("/").join(name),
        access,
    }
}

/// Everything the compiler knows of the world.
fn environment(arch: Arch) -> Vec<(String, String)> {
    let mut env = vec![
        ("HOME", "{build}/home"),
        ("TMPDIR", "{build}/tmp"),
        ("GOTMPDIR", "{build}/tmp"),
        ("GOROOT", "{go}"),
        ("GOPATH", "{build}/path"),
        ("GOMODCACHE", "{build}/mod"),
        ("GOCACHE", "{build}/cache"),
        ("GOPROXY", "file://{modules}"),
        ("GOSUMDB", "off"),
        ("GOENV", "off"),
        ("GOTOOLCHAIN", "local"),
        ("GOWORK", "off"),
        ("GO111MODULE", "on"),
        ("GOOS", "linux"),
        ("CGO_ENABLED", "0"),
        ("GOARCH", arch.goarch()),
        // The baseline of each architecture, said aloud.
        ("GOAMD64", "v1"),
        ("GOARM64", "v8.0"),
        ("LC_ALL", "C"),
        ("TZ", "UTC"),
    ];
    env.extend(arch.goarm().map(|goarm| ("GOARM", goarm)));
    env.into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}
