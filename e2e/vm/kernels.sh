#!/usr/bin/env bash
# kernels.sh CACHE LINE... - the newest Debian cloud kernel of each line, unpacked in CACHE/kernels/PACKAGE.
#
# Prints one line for each: "LINE PACKAGE fetched|cached", or "LINE - REASON" where it cannot be had. It uses the
# mirror that this machine uses already, through an apt tree of its own: the machine's sources stay as they are.
set -euo pipefail
cache=$1
shift
mkdir -p "$cache"/apt/{lists/partial,cache/archives/partial,etc} "$cache"/{kernels,download}
cd "$cache"

options=(
    -o Dir::Etc::sourcelist="$PWD/apt/etc/sources.list" -o Dir::Etc::sourceparts=/dev/null
    -o Dir::State::lists="$PWD/apt/lists" -o Dir::Cache="$PWD/apt/cache" -o APT::Sandbox::User=root
    -o Acquire::IndexTargets::deb::DEP-11::DefaultEnabled=false -o Acquire::Languages=none
    -o Acquire::Retries=1 -o Acquire::http::Timeout=20 -o Acquire::https::Timeout=20
)

# Index of all suites that still serve a kernel. One of today is young enough.
index() {
    if [ -n "$(find apt/names -mmin -720 -size +0 2>/dev/null)" ]; then return; fi
    local mirror security keys=/usr/share/keyrings/debian-archive-keyring.gpg
    mirror=$(apt-get indextargets --format '$(REPO_URI)' | grep -v security | sort -u | head -1)
    security=$(apt-get indextargets --format '$(REPO_URI)' | grep security | sort -u | head -1)
    [ -n "$mirror" ] || return 1
    {
        for suite in bullseye bookworm bookworm-backports trixie trixie-backports; do
            echo "deb [signed-by=$keys] $mirror $suite main"
        done
        for suite in ${security:+bullseye-security bookworm-security}; do
            echo "deb [signed-by=$keys] $security $suite main"
        done
    } >apt/etc/sources.list
    # A suite that has gone from the mirror must not hide the others.
    apt-get "${options[@]}" -qq update >&2 || true
    apt-cache "${options[@]}" pkgnames linux- >apt/names.new
    grep -q '^linux-image-[0-9].*-cloud-amd64$' apt/names.new && mv apt/names.new apt/names
}

newest() { grep -E "^linux-image-${1//./\\.}\.[0-9].*-cloud-amd64$" | sort -V | tail -1; }

fetch() {
    local package=$1 version=${1#linux-image-} wanted part
    # From 6.19 on an image package holds nothing: kernel, modules and their lists come apart, and may not all be there.
    if grep -qx "linux-binary-$version" apt/names; then
        wanted="linux-binary-$version linux-modules-$version linux-base-$version"
    else
        wanted=$package
    fi
    rm -rf "download/$package" && mkdir -p "download/$package/tree"
    (cd "download/$package" && apt-get "${options[@]}" -qq download $wanted >&2) || return 1
    for part in "download/$package"/*.deb; do dpkg-deb -x "$part" "download/$package/tree"; done
    # Whole or not at all.
    rm -rf "kernels/$package" && mv "download/$package/tree" "kernels/$package" && rm -rf "download/$package"
}

if ! index; then reason="the mirror did not answer"; fi
for line; do
    package=""
    if [ -s apt/names ]; then package=$(newest "$line" <apt/names) || true; fi
    if [ -n "$package" ] && [ -d "kernels/$package" ]; then
        echo "$line $package cached"
    elif [ -n "$package" ] && fetch "$package"; then
        echo "$line $package fetched"
    elif old=$(ls kernels | newest "$line") && [ -n "$old" ]; then
        echo "$line $old cached (${reason:-a newer one could not be downloaded})"
    elif [ -n "$package" ]; then
        echo "$line - $package could not be downloaded"
    else
        echo "$line - ${reason:-the mirror serves no cloud kernel of this line any more}"
    fi
done
