package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/term"

	"github.com/ursa-virtual/ursa/topology/identity"
)

// keyFlags say where the passphrase of key files comes from.
type keyFlags struct{ file, command string }

func (k *keyFlags) register(cmd *cobra.Command) {
	cmd.Flags().StringVar(&k.file, "passphrase-file", "", "`FILE` with the passphrase of the key files, without its last newline")
	cmd.Flags().StringVar(&k.command, "key-command", "", "`COMMAND` that prints the passphrase; words are split at spaces, no shell")
}

// The refusals of a passphrase.
var (
	errOpenPassphrase = errors.New("is readable by everybody: chmod 600 it")
	errTwoPassphrases = errors.New("the two passphrases differ")
)

// protector asks for the passphrase when the first key file is read or written, and remembers it for the others. Without a flag
// it asks at the terminal; for new keys twice.
func (k *keyFlags) protector(cmd *cobra.Command, forNew bool) (identity.Protector, error) {
	var ask identity.Protector
	switch terminal, ok := cmd.InOrStdin().(*os.File); {
	case k.file != "" && k.command != "":
		return nil, usagef("--passphrase-file and --key-command: give one of them")
	case k.file != "":
		ask = func() ([]byte, error) { return readPassphrase(k.file) }
	case k.command != "":
		ask = identity.WithCommand(func(argv []string) ([]byte, error) {
			c := exec.CommandContext(cmd.Context(), argv[0], argv[1:]...)
			c.Stderr = cmd.ErrOrStderr()
			return c.Output()
		}, strings.Fields(k.command)...)
	case ok && term.IsTerminal(int(terminal.Fd())):
		ask = func() ([]byte, error) { return prompt(cmd, terminal, forNew) }
	default:
		return nil, usagef("no passphrase for the key files: give --passphrase-file FILE or --key-command COMMAND")
	}
	return identity.Protector(sync.OnceValues(ask)), nil
}

func readPassphrase(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Mode().Perm()&0o007 != 0 {
		return nil, fmt.Errorf("passphrase file %s %w", path, errOpenPassphrase)
	}
	data, err := readLimited(path, 4096)
	if err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(bytes.TrimSuffix(data, []byte("\n")), []byte("\r")), nil
}

func prompt(cmd *cobra.Command, terminal *os.File, twice bool) ([]byte, error) {
	read := func(text string) ([]byte, error) {
		fmt.Fprint(cmd.ErrOrStderr(), text)
		defer fmt.Fprintln(cmd.ErrOrStderr())
		return term.ReadPassword(int(terminal.Fd()))
	}
	first, err := read("passphrase: ")
	if err != nil || !twice {
		return first, err
	}
	second, err := read("once more: ")
	if err != nil {
		return nil, err
	}
	if !bytes.Equal(first, second) {
		return nil, errTwoPassphrases
	}
	return first, nil
}
