package identity

import (
	"bytes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/ursa-virtual/ursa/topology/identity/canon"
	"golang.org/x/crypto/chacha20poly1305"
	"golang.org/x/crypto/scrypt"
)

// A key file is one PEM block whose body is the canonical map
//
//	{1: version, 2: role, 3: id, 4: log2 of scrypt's N, 5: salt[32], 6: nonce[24], 7: sealed seed}
//
// The seed is sealed with XChaCha20-Poly1305 under scrypt(passphrase, salt, N, r = 8, p = 1) (RFC 7914); entries 1 to 6 are the
// associated data, so that nothing in the file can be changed unnoticed.
const (
	pemType       = "URSA PRIVATE KEY"
	keyVersion    = 1
	scryptLogN    = 15 // 32 MiB, about 60 ms
	scryptMaxLogN = 18 // a foreign file must not cost more than 256 MiB to refuse
	scryptR       = 8
	scryptP       = 1
	maxKeyFile    = 4096
)

// The refusals of a key file.
var (
	ErrKeyExists      = errors.New("key file exists already")
	ErrKeyPermissions = errors.New("key file is readable by others")
	ErrKeyFile        = errors.New("not an Ursa key file")
	ErrPassphrase     = errors.New("wrong passphrase, or the key file was changed")
	ErrNoPassphrase   = errors.New("no passphrase")
	ErrKeyMismatch    = errors.New("key file names another identity than it holds")
)

type keyHeader struct {
	Version uint64   `cbor:"1,keyasint"`
	Role    Role     `cbor:"2,keyasint"`
	ID      ID       `cbor:"3,keyasint"`
	LogN    uint64   `cbor:"4,keyasint"`
	Salt    [32]byte `cbor:"5,keyasint"`
	Nonce   [24]byte `cbor:"6,keyasint"`
}

type keyFile struct {
	Version uint64   `cbor:"1,keyasint"`
	Role    Role     `cbor:"2,keyasint"`
	ID      ID       `cbor:"3,keyasint"`
	LogN    uint64   `cbor:"4,keyasint"`
	Salt    [32]byte `cbor:"5,keyasint"`
	Nonce   [24]byte `cbor:"6,keyasint"`
	Sealed  []byte   `cbor:"7,keyasint"`
}

func (f keyFile) header() keyHeader {
	return keyHeader{f.Version, f.Role, f.ID, f.LogN, f.Salt, f.Nonce}
}

// SaveKey writes the identity to path, encrypted under the protector's passphrase, readable by the owner only. It never replaces
// a file (ErrKeyExists): the file appears whole and synced to disk, or not at all.
func SaveKey(path string, k *Private, protect Protector) error {
	if _, err := os.Lstat(path); err == nil { // before anybody is asked for a passphrase; writeNew decides
		return fmt.Errorf("%s: %w; move it away first", path, ErrKeyExists)
	}
	data, err := sealKey(k, protect, rand.Reader)
	if err != nil {
		return err
	}
	return writeNew(path, data)
}

// LoadKey reads what SaveKey wrote. It refuses files that group or others can read (ErrKeyPermissions), files of another format
// (ErrKeyFile), wrong passphrases and changed files (ErrPassphrase).
func LoadKey(path string, protect Protector) (*Private, error) {
	data, err := readPrivate(path)
	if err != nil {
		return nil, err
	}
	k, err := openKey(data, protect)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return k, nil
}

// sealKey encodes and encrypts; random is a parameter so that the format can be pinned by a test.
func sealKey(k *Private, protect Protector, random io.Reader) ([]byte, error) {
	if k == nil || k.s == nil {
		return nil, ErrNoKey
	}
	f := keyFile{Version: keyVersion, Role: k.s().public.Role(), ID: k.ID(), LogN: scryptLogN}
	for _, b := range [][]byte{f.Salt[:], f.Nonce[:]} {
		if _, err := io.ReadFull(random, b); err != nil {
			return nil, fmt.Errorf("reading randomness for a key file: %w", err)
		}
	}
	aead, header, err := keyCipher(f.header(), protect)
	if err != nil {
		return nil, err
	}
	f.Sealed = aead.Seal(nil, f.Nonce[:], k.s().seed[:], header)
	body, err := canon.Marshal(f)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: body}), nil
}

func openKey(data []byte, protect Protector) (*Private, error) {
	f, err := decodeKeyFile(data)
	if err != nil {
		return nil, err
	}
	aead, header, err := keyCipher(f.header(), protect)
	if err != nil {
		return nil, err
	}
	seed, err := aead.Open(nil, f.Nonce[:], f.Sealed, header)
	if err != nil {
		return nil, ErrPassphrase
	}
	if len(seed) != SeedSize {
		return nil, fmt.Errorf("%w: seed of %d bytes", ErrKeyFile, len(seed))
	}
	k, err := FromSeed(f.Role, [SeedSize]byte(seed))
	if err != nil {
		return nil, err
	}
	if k.ID() != f.ID {
		return nil, fmt.Errorf("%w: %s, holds %s", ErrKeyMismatch, f.ID.Short(), k.ID().Short())
	}
	return k, nil
}

// decodeKeyFile reads the file's form, without any secret; work factors are bounded here.
func decodeKeyFile(data []byte) (keyFile, error) {
	block, rest := pem.Decode(data)
	if block == nil || block.Type != pemType || len(block.Headers)+len(rest) != 0 || !bytes.Equal(pem.EncodeToMemory(block), data) {
		return keyFile{}, fmt.Errorf("%w: want one %q block and nothing else", ErrKeyFile, pemType)
	}
	var f keyFile
	if err := canon.Unmarshal(block.Bytes, &f, maxKeyFile); err != nil {
		return keyFile{}, fmt.Errorf("%w: %w", ErrKeyFile, err)
	}
	if f.Version != keyVersion {
		return keyFile{}, fmt.Errorf("%w: version %d, want %d", ErrKeyFile, f.Version, keyVersion)
	}
	if f.LogN < scryptLogN || f.LogN > scryptMaxLogN {
		return keyFile{}, fmt.Errorf("%w: scrypt work 2^%d, want 2^%d to 2^%d", ErrKeyFile, f.LogN, scryptLogN, scryptMaxLogN)
	}
	if _, err := ParseRole(string(f.Role)); err != nil {
		return keyFile{}, fmt.Errorf("%w: %w", ErrKeyFile, err)
	}
	return f, nil
}

// keyCipher derives the file's cipher from the passphrase and returns it with the associated data.
func keyCipher(h keyHeader, protect Protector) (cipher.AEAD, []byte, error) {
	if protect == nil {
		return nil, nil, ErrNoPassphrase
	}
	passphrase, err := protect()
	if err != nil {
		return nil, nil, err
	}
	if len(passphrase) == 0 {
		return nil, nil, ErrNoPassphrase
	}
	header, err := canon.Marshal(h)
	if err != nil {
		return nil, nil, err
	}
	key, err := scrypt.Key(passphrase, h.Salt[:], 1<<h.LogN, scryptR, scryptP, chacha20poly1305.KeySize)
	if err != nil {
		return nil, nil, fmt.Errorf("deriving the file key: %w", err)
	}
	aead, err := chacha20poly1305.NewX(key)
	return aead, header, err
}

// readPrivate reads a small regular file that only its owner may touch. The checks are made on the open file, so that the one
// checked is the one read.
func readPrivate(path string) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxKeyFile {
		return nil, fmt.Errorf("%s: %w: want a regular file of at most %d bytes", path, ErrKeyFile, maxKeyFile)
	}
	if perm := info.Mode().Perm(); perm&0o077 != 0 {
		return nil, fmt.Errorf("%s: %w: mode %04o, want 0600", path, ErrKeyPermissions, perm)
	}
	return io.ReadAll(io.LimitReader(f, maxKeyFile))
}

// writeNew makes path appear with its whole content or not at all: write beside it, sync, link (which, unlike a rename, refuses
// to replace), sync the directory.
func writeNew(path string, data []byte) error {
	dir := filepath.Dir(path)
	tmp, err := os.CreateTemp(dir, ".key-*") // mode 0600
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name())
	if err := writeSync(tmp, data); err != nil {
		return err
	}
	if err := os.Link(tmp.Name(), path); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return fmt.Errorf("%s: %w; move it away first", path, ErrKeyExists)
		}
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

func writeSync(f *os.File, data []byte) error {
	_, err := f.Write(data)
	if err == nil {
		err = f.Sync()
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}
