"""media.py - the media that os.py boots, made of Debian packages and kept in the cache."""
import os
import shutil
import subprocess

from run import HERE, Skipped

CACHE = os.path.join(os.environ.get("LATIMER_CACHE", os.path.expanduser("~/.cache/latimer")), "os")


def need(*tools):
    path = os.environ["PATH"] + ":/usr/sbin:/sbin"
    for tool in tools:
        if not shutil.which(tool, path=path):
            raise Skipped(f"{tool} is not installed")


def medium(name, make, *tools):
    """The medium of that name in the cache, made by make(path) where it is not there yet."""
    path = os.path.join(CACHE, name)
    if os.path.exists(path):
        return path
    need(*tools)
    os.makedirs(CACHE, exist_ok=True)
    part = path + ".part"
    try:
        make(part)
    except subprocess.CalledProcessError as e:
        raise Skipped(f"{name} cannot be made: {e}") from e
    os.rename(part, path)
    return path


def package_files(package):
    """The folder with a Debian package's files; fetched where it is not there yet."""
    folder = os.path.join(CACHE, package)
    if os.path.isdir(folder):
        return folder
    need("apt-get", "dpkg-deb")
    part = folder + ".part"
    shutil.rmtree(part, ignore_errors=True)
    os.makedirs(part)
    try:
        subprocess.run(["apt-get", "download", "-q", package], cwd=part, check=True, capture_output=True)
        deb = [f for f in os.listdir(part) if f.endswith(".deb")][0]
        subprocess.run(["dpkg-deb", "-x", deb, "."], cwd=part, check=True)
        os.remove(os.path.join(part, deb))
    except (subprocess.CalledProcessError, IndexError) as e:
        raise Skipped(f"package {package} cannot be had: {e}") from e
    os.rename(part, folder)
    return folder


def boot_files(*args):
    """What tests/boot/guest.sh makes: kernels, initial ramdisks, UEFI firmware."""
    made = subprocess.run(["sh", os.path.join(HERE, "../boot/guest.sh"), *args], capture_output=True, text=True, check=False)
    if made.returncode:
        raise Skipped(made.stderr.strip()[-200:])
    return made.stdout.strip()


def mkdisk(path, *args):
    if os.geteuid() != 0:
        raise Skipped("only root can install a Debian into an image")
    subprocess.run(["sh", os.path.join(HERE, "mkdisk.sh"), *args, path], check=True)


DISK_TOOLS = ("mmdebstrap", "mke2fs", "sfdisk", "mkfs.vfat", "mcopy")


def debian_disk():
    return medium("debian.img", mkdisk, *DISK_TOOLS)
