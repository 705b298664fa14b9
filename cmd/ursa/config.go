package main

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/ursa-virtual/ursa/lockgate/evidence"
	"github.com/ursa-virtual/ursa/topology/directory"
	"github.com/ursa-virtual/ursa/topology/identity"
)

// The files that hosts, cores and defenders keep in a folder of their own and hand to one another.
const (
	trustName     = "trust.json"     // who must have signed the directory; everybody needs it
	directoryName = "directory.ursa" // the signed constellation
	maxSmallFile  = 1 << 20          // bytes of any JSON file here
)

// publicFile is what anybody may know of a key: beacon.json, core.json and gate.json begin with it.
type publicFile struct {
	Role identity.Role   `json:"role"`
	ID   identity.ID     `json:"id"` // for people; must be the key's
	Key  identity.Public `json:"key"`
}

func publicOf(k *identity.Private) publicFile {
	return publicFile{Role: k.Public().Role(), ID: k.ID(), Key: k.Public()}
}

// check refuses a file of another role, and one whose readable id is not the key's: people compare ids.
func (p publicFile) check(path string, want ...identity.Role) error {
	switch {
	case !slices.Contains(want, p.Key.Role()) || p.Role != p.Key.Role():
		return fmt.Errorf("%s is the key of a %s: the key of a %s is needed here", path, p.Key.Role(), strings.ReplaceAll(strings.Trim(fmt.Sprint(want), "[]"), " ", " or "))
	case p.ID != p.Key.ID():
		return fmt.Errorf("%s names id %s, but its key is %s: get the file again from its owner", path, p.ID.Short(), p.Key.ID().Short())
	}
	return nil
}

// readPublic reads the key of a public file, whatever else the file says.
func readPublic(path string, want ...identity.Role) (publicFile, error) {
	data, err := readLimited(path, maxSmallFile)
	if err != nil {
		return publicFile{}, err
	}
	var p publicFile
	if err := json.Unmarshal(data, &p); err != nil {
		return publicFile{}, fmt.Errorf("%s is not a public key file (such as beacon.json, core.json, gate.json): %w", path, err)
	}
	if p.Key.Role() == "" {
		return publicFile{}, fmt.Errorf("%s is not a public key file (such as beacon.json, core.json, gate.json): it holds no key", path)
	}
	return p, p.check(path, want...)
}

// trustFile says whose directories count.
type trustFile struct {
	Constellation string            `json:"constellation"` // its name, for which attestation results are made
	Threshold     int               `json:"threshold"`     // signatures that a directory needs
	Roots         []identity.Public `json:"roots"`         // keys that may sign one
}

func (t trustFile) trust() evidence.Trust {
	return evidence.Trust{Roots: t.Roots, Threshold: t.Threshold}
}

// fingerprint is what people compare, and what `ursa verify --trust` takes.
func (t trustFile) fingerprint() string {
	sum := t.trust().Fingerprint()
	return hex.EncodeToString(sum[:])
}

func readTrust(path string) (trustFile, error) {
	var t trustFile
	if err := readJSON(path, "a trust file, as 'ursa directory init' writes it", &t); err != nil {
		return t, err
	}
	if t.Constellation == "" || t.Threshold < 1 || t.Threshold > len(t.Roots) {
		return t, fmt.Errorf("%s: a constellation's name and 1 to %d of its %d roots are needed", path, len(t.Roots), len(t.Roots))
	}
	return t, nil
}

// published is a verified directory with the bytes that were signed.
type published struct {
	*directory.Directory
	signed []byte
}

// openDirectory reads and verifies a signed directory; with a previous one it must be the same or a later epoch.
func (t trustFile) openDirectory(path string, previous *directory.Directory) (published, error) {
	if path == "" {
		return published{}, usagef("no directory: say --directory FILE, the signed file of 'ursa directory sign'")
	}
	data, err := readLimited(path, directory.MaxSize)
	if err != nil {
		return published{}, err
	}
	now := time.Now().UnixNano()
	var d *directory.Directory
	if previous == nil {
		d, err = directory.Verify(data, t.Roots, t.Threshold, now)
	} else {
		d, err = directory.VerifyNext(previous, data, t.Roots, t.Threshold, now)
	}
	if err != nil {
		return published{}, fmt.Errorf("%s is refused: %w", path, err)
	}
	return published{d, data}, nil
}

// readJSON reads a small JSON file and refuses fields that it does not know.
func readJSON(path, what string, v any) error {
	data, err := readLimited(path, maxSmallFile)
	if err != nil {
		return err
	}
	d := json.NewDecoder(bytes.NewReader(data))
	d.DisallowUnknownFields()
	err = d.Decode(v)
	if err == nil {
		if _, more := d.Token(); !errors.Is(more, io.EOF) {
			err = errors.New("there is more after its end")
		}
	}
	if err != nil {
		return fmt.Errorf("%s is not %s: %w", path, what, jsonProblem(data, v, err))
	}
	return nil
}

// writeJSON replaces a file by v as JSON, whole or not at all.
func writeJSON(path string, v any, perm fs.FileMode) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return writeWhole(path, append(data, '\n'), perm)
}

// printJSON prints one object for machines.
func printJSON(cmd *cobra.Command, v any) error {
	e := json.NewEncoder(cmd.OutOrStdout())
	e.SetIndent("", "  ")
	return e.Encode(v)
}

// writeWhole replaces a file in one step, synced: whoever reads it sees the old or the new one.
func writeWhole(path string, data []byte, perm fs.FileMode) error {
	tmp, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	var where *fs.PathError
	if errors.As(err, &where) { // of a file that nobody asked for
		return fmt.Errorf("cannot write %s: %w", path, where.Err)
	}
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	_, err = tmp.Write(data)
	if err == nil {
		err = tmp.Chmod(perm)
	}
	if err == nil {
		err = tmp.Sync()
	}
	if closed := tmp.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return os.Rename(tmp.Name(), path)
}

// newHome makes a folder of keys: its owner's alone.
func newHome(dir string) error {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return fmt.Errorf("cannot make the folder: %w", err)
	}
	return nil
}

// claimHome keeps a second process of the same kind away from a folder until released or dead: two of them with one key or one
// store would spoil each other's state.
func claimHome(dir, who string) (release func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, ".lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fmt.Errorf("another %s works in %s: stop it first, or use another folder", who, dir)
		}
		return nil, fmt.Errorf("locking %s: %w", dir, err)
	}
	return func() { _ = f.Close() }, nil
}

// needFlags refuses a command line that lacks one of the flags.
func needFlags(cmd *cobra.Command, names ...string) error {
	var missing []string
	for _, name := range names {
		if !cmd.Flags().Changed(name) {
			missing = append(missing, "--"+name)
		}
	}
	if len(missing) > 0 {
		verb := "is"
		if len(missing) > 1 {
			verb = "are"
		}
		return usagef("%s %s missing: see '%s --help'", strings.Join(missing, ", "), verb, cmd.CommandPath())
	}
	return nil
}

// homeTrust reads the trust file of a folder that 'ursa NOUN init' made.
func homeTrust(dir, noun string) (trustFile, error) {
	t, err := readTrust(filepath.Join(dir, trustName))
	if errors.Is(err, fs.ErrNotExist) {
		return t, fmt.Errorf("%s is not the folder of a %s: name it with --dir; 'ursa %s init' makes one", dir, noun, noun)
	}
	return t, err
}

// copyTrust checks a trust file and keeps it in a folder.
func copyTrust(from, dir string) (trustFile, error) {
	t, err := readTrust(from)
	if err != nil {
		return t, err
	}
	return t, writeJSON(filepath.Join(dir, trustName), t, 0o644)
}

// hexString is a byte string that JSON shows in hexadecimal digits.
type hexString []byte

// MarshalText implements encoding.TextMarshaler.
func (h hexString) MarshalText() ([]byte, error) { return []byte(hex.EncodeToString(h)), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (h *hexString) UnmarshalText(text []byte) error {
	b, err := hex.DecodeString(string(text))
	if err != nil {
		return fmt.Errorf("%q is not hexadecimal digits, two for each byte", text)
	}
	*h = b
	return nil
}
