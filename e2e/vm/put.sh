# put PROGRAM PLACE: a program, with the libraries it asks for, below $root.
put() {
    local program
    program=$(readlink -f "$1")
    cp "$program" "$root/$2"
    { ldd "$program" 2>/dev/null || true; } | grep -oE '/[^ ]+\.so[^ ]*' | while read -r library; do
        mkdir -p "$root$(dirname "$library")"
        cp -nL "$library" "$root$library"
    done
}
