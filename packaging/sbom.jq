# A bill of materials (CycloneDX 1.5) from `cargo metadata`.
#
#   $used      every crate that takes part: {"name version": "required" | "excluded"};
#              what only takes part in the build is "excluded" from what runs
#   $checksums sha256 of each crate by the registry: {"name version": "hex"}
#   $version, $time: of the product

def key: "\(.name) \(.version)";
def ref: "pkg:cargo/\(.name)@\(.version)";
# Cargo's old way to say "or".
def licence: (.license // "NOASSERTION") | gsub("\\s*/\\s*"; " OR ");

def component:
  { type: "library", "bom-ref": ref, name: .name, version: .version, scope: $used[key] }
  + (if .description then { description: (.description | [splits("\\s+")] | map(select(. != "")) | join(" ")) } else {} end)
  + (if $checksums[key] then { hashes: [{ alg: "SHA-256", content: $checksums[key] }] } else {} end)
  + { licenses: [{ expression: licence }], purl: ref }
  + (if .repository
     then { externalReferences: [{ type: "vcs", url: .repository }] } else {} end);

(.packages | map(select($used[key]))) as $packages
| ($packages | map({ key: .id, value: ref }) | from_entries) as $refs
| {
    bomFormat: "CycloneDX",
    specVersion: "1.5",
    version: 1,
    metadata: {
      timestamp: $time,
      component: {
        type: "application",
        "bom-ref": "bytchat",
        name: "bytchat",
        version: $version,
        licenses: [{ expression: "MIT OR Apache-2.0" }]
      }
    },
    components: ($packages | map(component) | sort_by(."bom-ref")),
    dependencies: (
      [{
        ref: "bytchat",
        dependsOn: ($packages | map(select(.name == "bytchatd" or .name == "bytctl") | ref) | sort)
      }]
      + (.resolve.nodes
         | map(select($refs[.id]))
         | map({
             ref: $refs[.id],
             dependsOn: ([.deps[]
               | select(any(.dep_kinds[]; .kind != "dev"))
               | $refs[.pkg] | values] | unique)
           })
         | sort_by(.ref)))
  }
