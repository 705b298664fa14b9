package identity

import (
	"bytes"
	"encoding/pem"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ursa-virtual/ursa/topology/identity/canon"
)

func TestKeyFile(t *testing.T) {
	k, err := FromSeed(RoleGate, [32]byte{6})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	path := filepath.Join(dir, "gate.key")
	right := WithPassphrase([]byte("correct horse"))
	if err := SaveKey(path, k, right); err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o600 {
		t.Fatal(info.Mode(), err)
	}
	back, err := LoadKey(path, right)
	if err != nil || back.ID() != k.ID() {
		t.Fatal(back, err)
	}
	if err := SaveKey(path, k, right); !errors.Is(err, ErrKeyExists) {
		t.Fatal(err)
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".key-*")); len(left) != 0 {
		t.Fatalf("left behind: %v", left)
	}
	if _, err := LoadKey(path, WithPassphrase([]byte("wrong horse"))); !errors.Is(err, ErrPassphrase) {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o640); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadKey(path, right); !errors.Is(err, ErrKeyPermissions) || strings.Contains(err.Error(), "\n") {
		t.Fatal(err)
	}
	if _, err := LoadKey(filepath.Join(dir, "none.key"), right); !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
	if _, err := LoadKey(dir, right); !errors.Is(err, ErrKeyFile) {
		t.Fatal(err)
	}
	if err := SaveKey(filepath.Join(dir, "no", "such", "folder"), k, right); !errors.Is(err, os.ErrNotExist) {
		t.Fatal(err)
	}
}

func TestKeyFileNeedsPassphrase(t *testing.T) {
	k, _ := FromSeed(RoleGate, [32]byte{6})
	path := filepath.Join(t.TempDir(), "gate.key")
	broken := errors.New("vault sealed")
	for name, c := range map[string]struct {
		protect Protector
		want    error
	}{
		"none":            {nil, ErrNoPassphrase},
		"empty":           {WithPassphrase(nil), ErrNoPassphrase},
		"command empty":   {WithCommand(func([]string) ([]byte, error) { return []byte("x"), nil }), ErrNoPassphrase},
		"command silent":  {WithCommand(func([]string) ([]byte, error) { return []byte("\n"), nil }, "vault"), ErrNoPassphrase},
		"command failing": {WithCommand(func([]string) ([]byte, error) { return nil, broken }, "vault"), broken},
	} {
		if err := SaveKey(path, k, c.protect); !errors.Is(err, c.want) {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := os.Stat(path); err == nil {
			t.Errorf("%s: a file was written", name)
		}
	}
	if err := SaveKey(path, nil, WithPassphrase([]byte("x"))); !errors.Is(err, ErrNoKey) {
		t.Error(err)
	}
}

// A key-command's output is the passphrase, less its newline; the command sees its arguments.
func TestKeyCommand(t *testing.T) {
	var asked []string
	p := WithCommand(func(argv []string) ([]byte, error) { asked = argv; return []byte("s3cret \n"), nil }, "vault", "get", "ursa")
	got, err := p()
	if err != nil || string(got) != "s3cret " || strings.Join(asked, " ") != "vault get ursa" {
		t.Fatalf("%q %v %v", got, asked, err)
	}
}

// Every change of the body is refused, those of the header before or by the cipher.
func TestKeyFileChanged(t *testing.T) {
	k, _ := FromSeed(RoleGate, [32]byte{6})
	protect := WithPassphrase([]byte("x"))
	data, err := sealKey(k, protect, bytes.NewReader(make([]byte, 56)))
	if err != nil {
		t.Fatal(err)
	}
	good, err := decodeKeyFile(data)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		change func(*keyFile)
		want   error
	}{
		"version":        {func(f *keyFile) { f.Version = 2 }, ErrKeyFile},
		"unknown role":   {func(f *keyFile) { f.Role = "emperor" }, ErrKeyFile},
		"other role":     {func(f *keyFile) { f.Role = RoleCore }, ErrPassphrase},
		"id":             {func(f *keyFile) { f.ID[0] ^= 1 }, ErrPassphrase},
		"cheaper scrypt": {func(f *keyFile) { f.LogN = 14 }, ErrKeyFile},
		"costly scrypt":  {func(f *keyFile) { f.LogN = 63 }, ErrKeyFile},
		"salt":           {func(f *keyFile) { f.Salt[3] ^= 1 }, ErrPassphrase},
		"nonce":          {func(f *keyFile) { f.Nonce[3] ^= 1 }, ErrPassphrase},
		"sealed":         {func(f *keyFile) { f.Sealed[3] ^= 1 }, ErrPassphrase},
		"sealed cut":     {func(f *keyFile) { f.Sealed = f.Sealed[:3] }, ErrPassphrase},
	} {
		f := good
		f.Sealed = bytes.Clone(good.Sealed)
		c.change(&f)
		body, err := canon.Marshal(f)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := openKey(pem.EncodeToMemory(&pem.Block{Type: pemType, Bytes: body}), protect); !errors.Is(err, c.want) {
			t.Errorf("%s: got %v, want %v", name, err, c.want)
		}
	}
	for name, text := range map[string]string{
		"empty": "", "no pem": "hello", "two blocks": string(data) + string(data), "other type": strings.ReplaceAll(string(data), "URSA", "RSA"),
		"words before": "hello\n" + string(data), "spaces after": string(data) + "\n",
		"with header": strings.Replace(string(data), "KEY-----\n", "KEY-----\na: b\n\n", 1),
	} {
		if _, err := openKey([]byte(text), protect); !errors.Is(err, ErrKeyFile) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
