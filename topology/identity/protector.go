package identity

import (
	"bytes"
	"fmt"
)

// Protector obtains the passphrase of a key file. It is asked once for each file that is read or written. A function prints as an
// address, so the passphrase does not leak by formatting.
type Protector func() (passphrase []byte, err error)

// WithPassphrase protects with a passphrase that is already known.
func WithPassphrase(passphrase []byte) Protector {
	kept := bytes.Clone(passphrase)
	return func() ([]byte, error) { return kept, nil }
}

// WithCommand protects with what a key-command prints on standard output, less one newline at its end: a secret manager's client,
// a smart-card tool, a file on a tmpfs. The caller hands in how a command is run, so that this package starts no process.
func WithCommand(run func(argv []string) (stdout []byte, err error), argv ...string) Protector {
	return func() ([]byte, error) {
		if len(argv) == 0 {
			return nil, fmt.Errorf("%w: the key-command is empty", ErrNoPassphrase)
		}
		out, err := run(argv)
		if err != nil {
			return nil, fmt.Errorf("key-command %q: %w", argv[0], err)
		}
		passphrase := bytes.TrimSuffix(bytes.TrimSuffix(out, []byte("\n")), []byte("\r"))
		if len(passphrase) == 0 {
			return nil, fmt.Errorf("%w: key-command %q printed nothing", ErrNoPassphrase, argv[0])
		}
		return passphrase, nil
	}
}
