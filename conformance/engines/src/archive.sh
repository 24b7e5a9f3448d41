# Imports the directory $root into containerd as the image $name: an archive of an OCI image layout.
dir=$HOME/layout; mkdir -p $dir/blobs/sha256; cd $dir
# blob FILE TYPE: moves it to its place, and describes it.
blob() {
    sum=$(sha256sum < $1 | cut -d ' ' -f 1); size=$(stat -c %s $1); mv $1 blobs/sha256/$sum
    echo "{\"mediaType\": \"application/vnd.oci.image.$2\", \"digest\": \"sha256:$sum\", \"size\": $size${3-}}"
}
tar -C $root -cf layer .; diff=$(sha256sum < layer | cut -d ' ' -f 1)
layer=$(blob layer layer.v1.tar)
echo "{\"architecture\": \"$(dpkg --print-architecture)\", \"os\": \"linux\", \"config\": {\"Cmd\": [\"sh\"],
    \"Env\": [\"$P\"]},
    \"rootfs\": {\"type\": \"layers\", \"diff_ids\": [\"sha256:$diff\"]}}" > config
config=$(blob config config.v1+json)
echo "{\"schemaVersion\": 2, \"config\": $config, \"layers\": [$layer]}" > manifest
name=", \"annotations\": {\"io.containerd.image.name\": \"$name\"}"
echo "{\"schemaVersion\": 2, \"manifests\": [$(blob manifest manifest.v1+json "$name")]}" > index.json
echo '{"imageLayoutVersion": "1.0.0"}' > oci-layout
tar -cf ../archive .; ctr image import ../archive; cd ..; rm -r layout archive
