# Helpers of benches/run, which sets imgbuild, floor, store, dir, runs, prefix, level, cores.

need() { # COMMAND PACKAGE
  command -v "$1" >/dev/null || {
    echo "benches/run: $1 is missing; install it: apt-get install $2" >&2
    exit 1
  }
}

section() { printf '\n%s\n' "$1"; }

# Runs a command through time(1), leaving its figures in wall, cpu, peak (MB) and written
# (bytes). Its own output is kept for when it fails.
timed() {
  # The prefix stands before time(1), so that it is not part of what is measured.
  "${prefix[@]}" /usr/bin/time -o "$dir/time" -f '%e %U %S %M %O' "$@" >"$dir/log" 2>&1 || {
    cat "$dir/log" >&2
    return 1
  }
  local user system blocks
  read -r wall user system peak blocks < <(tail -n1 "$dir/time")
  cpu=$(awk "BEGIN { print $user + $system }")
  peak=$(awk "BEGIN { print $peak / 1000 }")
  written=$((blocks * 512))
}

# The run with the least wall time of several; PREPARE is run, untimed, before each.
best() { # PREPARE COMMAND...
  local before=$1 least='' figures=''
  shift
  for _ in $(seq "$runs"); do
    $before
    timed "$@"
    if [ -z "$least" ] || awk "BEGIN { exit !($wall < $least) }"; then
      least=$wall
      figures="$wall $cpu $peak $written"
    fi
  done
  read -r wall cpu peak written <<<"$figures"
}

report() { # WHAT
  printf '  %-46s %7.2f s wall %7.2f s CPU %6.0f MB peak %6.0f MB written\n' \
    "$1" "$wall" "$cpu" "$peak" "$(awk "BEGIN { print $written / 1e6 }")"
}

ratio() { # WHAT A B
  awk -v what="$1" -v a="$2" -v b="$3" 'BEGIN { printf "  %-46s %7.2f\n", what, a / b }'
}

build() { # RECIPE OUT
  IMGBUILD_STORE=$dir/store timed "$imgbuild" build "$1" --offline --quiet \
    --secret "$dir/$1.secret" --out "$2"
}

# Everything a recipe needs from the network, and etcd.
prepare() { # RECIPE
  [ -e "recipes/$1.lock" ] || "$imgbuild" lock "$1"
  IMGBUILD_STORE=$store "$imgbuild" build "$1" --quiet --secret "$dir/$1.secret" \
    --out "$dir/prepared-$1" >/dev/null
  packages_of "$1" >"$dir/packages"
}

# The digests of a recipe's packages.
packages_of() { # RECIPE
  awk '/^\[/ { package = ($0 == "[[debian.package]]") }
       package && $1 == "sha256" { gsub(/"/, "", $3); print $3 }' "recipes/$1.lock"
}

object() { echo "$store/objects/${1:0:2}/$1"; } # DIGEST

# A store that holds the downloads and etcd, nothing else; no output, a quiet disk.
cold_store() {
  rm -rf "$dir/store" "$dir/out"
  mkdir -p "$dir/store/objects" "$dir/store/results"
  cp "$store/VERSION" "$dir/store/"
  cp -r "$store/results/etcd" "$dir/store/results/"
  {
    cat "$dir/packages"
    grep -rhoE '"digest": "[0-9a-f]{64}' "$dir/store/results/etcd" | cut -d'"' -f4
  } | sort -u | while read -r digest; do
    if [ -e "$(object "$digest")" ]; then
      mkdir -p "$dir/store/objects/${digest:0:2}"
      ln "$(object "$digest")" "$dir/store/objects/${digest:0:2}/" 2>/dev/null ||
        cp "$(object "$digest")" "$dir/store/objects/${digest:0:2}/"
    fi
  done
  sync
}

best_build() { # PREPARE RECIPE OUT
  IMGBUILD_STORE=$dir/store best "$1" "$imgbuild" build "$2" --offline --quiet \
    --secret "$dir/$2.secret" --out "$3"
}

allocated() { du -B1 -c --apparent-size "$@" | tail -n1 | cut -f1; } # FILE...
on_disk() { du -B1 -c "$@" | tail -n1 | cut -f1; }                   # FILE...

measure_cold() { # RECIPE
  cold_store
  local before
  before=$(on_disk "$dir/store/objects")
  best_build cold_store "$1" "$dir/out"
  report "first build"
  cold=$wall
  local kept images
  kept=$(($(on_disk "$dir/store/objects") - before))
  images=$(on_disk "$dir"/out/*.img)
  ratio "written / (store content + images)" "$written" "$((kept + images))"
}

nothing() { :; }
no_image() { rm -f "$dir/floor.squashfs"; }

measure_floor() { # RECIPE
  local files=() digest
  while read -r digest; do files+=("$(object "$digest")"); done <"$dir/packages"
  best nothing "$floor" "${files[@]}"
  report "floor: decompress ($(wc -l <"$dir/packages") packages)"
  floor_sum=$wall
  # The very trees of the shared layers, from the images' store.
  rm -rf "$dir/tree"
  mkdir "$dir/tree"
  local kind layer
  for kind in base-layer etcd-layer; do
    layer=$(grep -rhA1 '"layer"' "$dir/store/results/$kind" | grep -oE '[0-9a-f]{64}')
    unsquashfs -quiet -no-progress -dest "$dir/tree/$kind" \
      "$dir/store/objects/${layer:0:2}/$layer" >/dev/null
  done
  best no_image mksquashfs "$dir/tree" "$dir/floor.squashfs" -no-progress -quiet \
    -comp zstd -Xcompression-level "$level" -b 256K -processors "$cores"
  report "floor: mksquashfs, zstd $level, 256K"
  floor_sum=$(awk "BEGIN { print $floor_sum + $wall }")
  if command -v tar2sqfs >/dev/null; then
    tar -C "$dir/tree" -cf "$dir/tree.tar" .
    best no_image sh -c "tar2sqfs -q -c zstd -X level=$level -b 256K -j $cores \
      '$dir/floor.squashfs' <'$dir/tree.tar'"
    report "for comparison: tar2sqfs, zstd $level, 256K"
    rm "$dir/tree.tar"
  fi
}

sizes() { # RECIPE
  local image
  image=$(find "$dir/out" -name '*.img' | sort | head -n1)
  printf '  %-46s %7.1f MB of content, %.1f MB long\n' "an image" \
    "$(awk "BEGIN { print $(on_disk "$image") / 1e6 }")" \
    "$(awk "BEGIN { print $(allocated "$image") / 1e6 }")"
}

# One address is changed back and forth, beside a copy of the lock.
change_address() {
  turn=$((turn + 1))
  sed "0,/10\.40\.0\.10/! s/10\.40\.0\.12/10.40.0.$((100 + turn))/" \
    "$dir/recipes/vm-3node.toml" >"$dir/recipes/changed.toml"
  cp "$dir/recipes/vm-3node.lock" "$dir/recipes/changed.lock"
}

measure_warm() {
  packages_of vm-3node >"$dir/packages"
  cold_store
  build vm-3node "$dir/out"
  best_build nothing vm-3node "$dir/out"
  report "nothing changed"
  turn=0
  change_address
  build changed "$dir/out-changed"
  best_build change_address changed "$dir/out-changed"
  report "one address changed, 3 images anew"
}

nodes() { # COUNT: a recipe of so many nodes, and the lock of vm-3node
  awk '/^\[\[node\]\]/ { exit } { print }' "$dir/recipes/vm-3node.toml" >"$dir/recipes/many.toml"
  cp "$dir/recipes/vm-3node.lock" "$dir/recipes/many.lock"
  local number
  for number in $(seq "$1"); do
    printf '[[node]]\nname = "etcd-%d"\naddress = "10.40.0.%d"\n\n' "$number" "$((number + 9))"
  done >>"$dir/recipes/many.toml"
}

no_many() { rm -rf "$dir/many"; }

measure_thirty() {
  local three thirty further
  nodes 3
  best_build no_many many "$dir/many"
  three=$wall
  nodes 30
  best_build no_many many "$dir/many"
  report "30 images"
  thirty=$wall
  further=$(awk "BEGIN { print ($thirty - $three) / 27 }")
  local copy="for image in '$dir'/many/*.img; do
    cp --sparse=always \"\$image\" '$dir/copies/'; done"
  best fresh_copies sh -c "$copy"
  report "cp --sparse=always of the 30 images"
  printf '  %-46s %7.3f s\n' "a further node" "$further"
  ratio "a further node / cp of its image" "$further" "$(awk "BEGIN { print $wall / 30 }")"
  # An image that imgbuild reports is on the disk; cp does not wait for that.
  best fresh_copies sh -c "$copy; sync '$dir'/copies/*.img"
  report "the same, and on the disk (sync)"
  ratio "a further node / cp and sync of its image" "$further" "$(awk "BEGIN { print $wall / 30 }")"
  rm -rf "$dir/copies" "$dir/many"
}

fresh_copies() {
  rm -rf "$dir/copies"
  mkdir "$dir/copies"
}

measure_mmdebstrap() {
  need mmdebstrap mmdebstrap
  local names
  names=$(awk '/^\[\[debian.package\]\]/ { package = 1 }
    package && $1 == "name" { gsub(/"/, "", $3); print $3; package = 0 }' \
    "$dir/recipes/vm-3node.lock" | paste -sd,)
  rm -f "$dir/root.tar"
  timed mmdebstrap --variant=essential --include="$names" trixie "$dir/root.tar" \
    ${BENCH_MIRROR:+"$BENCH_MIRROR"}
  report "mmdebstrap: one root as tar, download included"
  rm -f "$dir/root.tar"
  # The same of ours: a store with etcd and no package.
  : >"$dir/packages"
  cold_store
  IMGBUILD_STORE=$dir/store timed "$imgbuild" build vm-3node --quiet \
    --secret "$dir/vm-3node.secret" --out "$dir/out" ${BENCH_MIRROR:+--mirror "$BENCH_MIRROR"}
  report "imgbuild: three images, download included"
}
