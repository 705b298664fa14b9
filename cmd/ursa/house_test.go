package main

import (
	"go/build"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/ursa-virtual/ursa/"

// The house: a folder imports only what stands to its left. Tests may also see simnet, whose worlds they run in.
var order = []string{"topology", "beacon", "calib", "locator", "lockgate", "simnet", "cmd"}

// packages returns every package of the module by its path below the root.
func packages(t *testing.T) map[string]*build.Package {
	t.Helper()
	root, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	found := map[string]*build.Package{}
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() {
			return err
		}
		if name := d.Name(); p != root && (strings.HasPrefix(name, ".") || name == "testdata") {
			return filepath.SkipDir
		}
		pkg, err := build.ImportDir(p, 0)
		if _, none := err.(*build.NoGoError); none {
			return nil
		}
		if err != nil {
			return err
		}
		rel, _ := filepath.Rel(root, p)
		found[filepath.ToSlash(rel)] = pkg
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestArrowsOfTheHouse(t *testing.T) {
	for at, pkg := range packages(t) {
		from := slices.Index(order, strings.Split(at, "/")[0])
		if from < 0 {
			t.Errorf("%s: the house has no such folder; it has %v", at, order)
			continue
		}
		for _, imported := range pkg.Imports {
			inside, ok := strings.CutPrefix(imported, module)
			if !ok {
				continue
			}
			if to := slices.Index(order, strings.Split(inside, "/")[0]); to > from {
				t.Errorf("%s imports %s: arrows go %s", at, inside, strings.Join(order, " -> "))
			}
		}
	}
}

// leaf says which packages of topology may be imported by which: earth and canon know nobody.
func TestLeaves(t *testing.T) {
	all := packages(t)
	for _, leaf := range []string{"topology/earth", "topology/identity/canon"} {
		pkg, ok := all[leaf]
		if !ok {
			t.Errorf("%s is missing", leaf)
			continue
		}
		for _, imported := range pkg.Imports {
			if strings.HasPrefix(imported, module) {
				t.Errorf("%s imports %s, but it is a leaf under everything", leaf, imported)
			}
		}
	}
}

// pure packages read no clock, open no socket or file and draw no global randomness; each for its own reason.
var pure = map[string]string{
	"topology/earth":            "geometry has one answer",
	"topology/atlas":            "a region means the same to the gate and to its auditor; files are handed in",
	"topology/spell":            "the same slip gets the same advice",
	"topology/directory":        "an auditor verifies yesterday's directory with yesterday's time",
	"beacon/statement":          "a proof is judged offline, years later, at a time handed in",
	"beacon/exchange":           "time is what it measures: `now` comes in with each event, or the clock rule could be bypassed",
	"calib/audit":               "a conviction must be reproducible by the convicted",
	"calib/model":               "a fit is a function of its data and seed",
	"locator/region":            "a theorem has no surroundings",
	"locator/verdict":           "the gate and the monitor must reach the same verdict from the same bytes",
	"lockgate/policy":           "a decision is explained by its inputs alone",
	"simnet/sample":             "what is drawn follows from its key",
	"simnet/trial":              "an outcome follows from the setup and the core, or it could not be had again",
	"lockgate/lock":             "small enough for hardware; host time must not be able to prolong a lease",
	"simnet/experiment/file":    "the same text is the same experiment on every machine; files are handed in",
	"simnet/experiment/summary": "a row follows from the journals alone",
}

// impure are the doors to the outside world. "time" itself is allowed for its types; reading the clock is looked for in the source.
var impure = []string{"net", "net/http", "os", "os/exec", "os/signal", "syscall", "crypto/rand", "golang.org/x/sys/unix", "github.com/quic-go/quic-go"}

func TestPureHearts(t *testing.T) {
	all := packages(t)
	for at, reason := range pure {
		pkg, ok := all[at]
		if !ok {
			t.Errorf("%s is listed as pure but does not exist", at)
			continue
		}
		for _, imported := range pkg.Imports {
			if slices.Contains(impure, imported) {
				t.Errorf("%s imports %s, but it is pure: %s", at, imported, reason)
			}
		}
		for _, file := range pkg.GoFiles {
			source, err := os.ReadFile(path.Join("../..", at, file))
			if err != nil {
				t.Fatal(err)
			}
			for _, call := range []string{"time.Now(", "time.Since(", "time.Until(", "time.Sleep(", "time.After(", "time.NewTimer(", "rand.Int(", "rand.IntN(", "rand.Float64(", "rand.Uint64("} {
				if strings.Contains(string(source), call) {
					t.Errorf("%s/%s calls %s), but the package is pure: %s", at, file, call, reason)
				}
			}
		}
	}
}

func TestEveryPackageTellsItsStory(t *testing.T) {
	for at, pkg := range packages(t) {
		if len(pkg.GoFiles) > 0 && len(strings.Fields(pkg.Doc)) < 3 {
			t.Errorf("%s has no package comment", at)
		}
	}
}

func TestTopOfTheHouse(t *testing.T) {
	allowed := append([]string{"go.mod", "go.sum", "README.md", "LICENSE", "docs"}, order...)
	entries, err := os.ReadDir("../..")
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range entries {
		if name := e.Name(); !strings.HasPrefix(name, ".") && !slices.Contains(allowed, name) && name != "ursa" {
			t.Errorf("%s stands at the top of the tree; only %v may", name, allowed)
		}
	}
}
