# Helpers of benches/run: every format, cards, and how long a cluster takes to be healthy.

no_output() { rm -rf "$dir/formats"; }

# Seconds and peak memory of each format, from layers that are in the store.
measure_formats() { # RECIPE FORMAT...
  local recipe=$1 format
  shift
  IMGBUILD_STORE=$store "$imgbuild" build "$recipe" --offline --quiet \
    --secret "$dir/$recipe.secret" --out "$dir/formats" >/dev/null
  for format in "$@"; do
    IMGBUILD_STORE=$store best no_output "$imgbuild" build "$recipe" --offline --quiet \
      --secret "$dir/$recipe.secret" --out "$dir/formats" --format "$format" \
      --base-url https://images.example.org/
    report "$format ($(awk "BEGIN { printf \"%.0f\", $(on_disk "$dir/formats") / 1e6 }") MB)"
  done
  no_output
}

# So many bytes a second.
throughput() { # WHAT BYTES
  printf '  %-46s %7.2f s wall %7.0f MB/s\n' "$1" "$wall" \
    "$(awk "BEGIN { print $2 / 1e6 / $wall }")"
}

used_card() { # what was on a card before: nothing of it is zero
  head -c 512M /dev/zero | tr '\0' '\377' |
    dd of="$dir/card" bs=1M iflag=fullblock status=none conv=notrunc,fsync
}

# One image to a card, by imgbuild and by the field's tools. imgbuild alone reads back what it
# wrote; cmp stands for that after the others.
measure_card() { # DEVICE
  local device=$1 image=$dir/formats/pi-0.img bytes
  bytes=$(on_disk "$image")
  best used_card "$imgbuild" flash --image "$image.zst" "$device" --yes --allow-fixed
  throughput "imgbuild flash, from img.zst, reads back" "$bytes"
  best used_card bmaptool -q copy --bmap "$image.bmap" "$image.zst" "$device"
  throughput "bmaptool copy, from img.zst" "$bytes"
  best used_card dd if="$image" of="$device" bs=4M conv=notrunc,fsync status=none
  throughput "dd, all of the raw image" "$(stat -c %s "$image")"
  best used_card sh -c "dd if='$image' of='$device' bs=4M conv=notrunc,fsync status=none
    dd if='$device' iflag=nocache count=0 status=none
    cmp -n $(stat -c %s "$image") '$image' '$device'"
  throughput "dd and cmp" "$(stat -c %s "$image")"
}

measure_cards() {
  need bmaptool bmap-tools
  no_output
  IMGBUILD_STORE=$store "$imgbuild" build pi-3node --offline --quiet \
    --secret "$dir/pi-3node.secret" --out "$dir/formats" --format img,img.zst >/dev/null
  truncate -s 512M "$dir/card"
  echo "  a file:"
  measure_card "$dir/card"
  local loop
  if loop=$(losetup --find --show "$dir/card" 2>/dev/null); then
    echo "  a loop device:"
    measure_card "$loop"
    losetup --detach "$loop"
  else
    echo "  no loop device can be had here"
  fi
  rm -f "$dir/card"
  no_output
}

# From the start of QEMU to a healthy cluster; the guests' processor time is in it.
measure_boot() { # RECIPE
  timed env IMGBUILD_STORE="$store" "$imgbuild" run "$1" --offline --secret "$dir/$1.secret" \
    --out "$dir/boot" --until healthy
  report "built, booted, healthy"
  grep -iE 'accelerat|kvm|tcg' "$dir/log" | head -n1 | sed 's/^/  /' || true
  rm -rf "$dir/boot"
}
