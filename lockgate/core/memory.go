package core

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"

	"github.com/ursa-virtual/ursa/lockgate/lock"
)

// Forgetful is a memory that lasts as long as the process: for a core whose key
// is made anew for every run as well.
type Forgetful struct {
	mu    sync.Mutex
	words []byte
	chain *[32]byte
}

// LoadWords returns the newest words, if any.
func (m *Forgetful) LoadWords() ([][]byte, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return [][]byte{m.words}, nil
}

// SaveWords keeps a copy.
func (m *Forgetful) SaveWords(words []byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.words = append([]byte(nil), words...)
	return nil
}

// LoadChain returns the newest hash, if any.
func (m *Forgetful) LoadChain() ([32]byte, bool, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.chain == nil {
		return [32]byte{}, false, nil
	}
	return *m.chain, true, nil
}

// SaveChain keeps a copy.
func (m *Forgetful) SaveChain(hash [32]byte) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.chain = &hash
	return nil
}

// Folder is a memory in the files of a folder. The words have two slots,
// written in turn and synced, so that a write torn by a power cut leaves the
// other whole; the chain is replaced in one step.
type Folder struct {
	dir string

	mu   sync.Mutex // guards next
	next int        // the slot to write
}

// NewFolder uses files in dir, which must exist.
func NewFolder(dir string) *Folder { return &Folder{dir: dir} }

// Files that hold something else than they should.
var (
	ErrChainFile = errors.New("core: the file of the last proof is damaged; enrol this core again")
	ErrBurnFile  = errors.New("core: the file of the burn is damaged; remove it, and what the burn held is spent")
)

const (
	chainFile = "proof.chain"
	burnFile  = "burn"
)

func (f *Folder) slot(i int) string {
	return filepath.Join(f.dir, [...]string{"lock.a", "lock.b"}[i])
}

// LoadWords reads both slots; one that is not there is empty. The next save
// goes to the one that is less worth keeping.
func (f *Folder) LoadWords() ([][]byte, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	slots := make([][]byte, 2)
	for i := range slots {
		b, err := os.ReadFile(f.slot(i))
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return nil, err
		}
		slots[i] = b
	}
	a, errA := lock.DecodeWords(slots[0])
	b, errB := lock.DecodeWords(slots[1])
	f.next = 0
	if errA == nil && (errB != nil || a.Newer(b)) {
		f.next = 1
	}
	return slots, nil
}

// SaveWords writes the other slot and waits until it is on the disk.
func (f *Folder) SaveWords(words []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := writeSynced(f.slot(f.next), words); err != nil {
		return err
	}
	f.next = 1 - f.next
	return syncDir(f.dir)
}

// LoadChain reads the hash of the last proof; false when there is none.
func (f *Folder) LoadChain() ([32]byte, bool, error) {
	b, err := os.ReadFile(filepath.Join(f.dir, chainFile))
	if errors.Is(err, os.ErrNotExist) {
		return [32]byte{}, false, nil
	}
	if err != nil {
		return [32]byte{}, false, err
	}
	if len(b) != 32 {
		return [32]byte{}, false, ErrChainFile
	}
	return [32]byte(b), true, nil
}

// SaveChain replaces the hash of the last proof.
func (f *Folder) SaveChain(hash [32]byte) error {
	return f.replace(chainFile, hash[:])
}

// replace writes a file whole or not at all.
func (f *Folder) replace(name string, data []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	path := filepath.Join(f.dir, name)
	if err := writeSynced(path+".new", data); err != nil {
		return err
	}
	if err := os.Rename(path+".new", path); err != nil {
		return err
	}
	return syncDir(f.dir)
}

// LoadBurn reads the burn that pays; the zero value when there is none.
func (f *Folder) LoadBurn() (b Burnt, err error) {
	data, err := os.ReadFile(filepath.Join(f.dir, burnFile))
	if errors.Is(err, os.ErrNotExist) {
		return Burnt{}, nil
	}
	if err != nil {
		return Burnt{}, err
	}
	if len(data) != 32 {
		return Burnt{}, ErrBurnFile
	}
	b = Burnt{ID: [16]byte(data), Asked: lock.Units(binary.BigEndian.Uint64(data[16:])), Left: lock.Units(binary.BigEndian.Uint64(data[24:]))}
	if b.Left > b.Asked || (b.ID == [16]byte{}) != (b.Asked == 0) {
		return Burnt{}, ErrBurnFile
	}
	return b, nil
}

// SaveBurn replaces it.
func (f *Folder) SaveBurn(b Burnt) error {
	data := binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(b.ID[:], uint64(b.Asked)), uint64(b.Left))
	return f.replace(burnFile, data)
}

// writeSynced writes a small file in place and waits until it is on the disk.
func writeSynced(path string, data []byte) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteAt(data, 0)
	if err == nil {
		err = file.Truncate(int64(len(data)))
	}
	if err == nil {
		err = file.Sync()
	}
	if c := file.Close(); err == nil {
		err = c
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", filepath.Base(path), err)
	}
	return nil
}

// syncDir makes the names in a folder durable.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	err = d.Sync()
	if c := d.Close(); err == nil {
		err = c
	}
	return err
}
