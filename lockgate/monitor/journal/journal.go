// Package journal is a file of records to which is only added.
//
// What it promises: whoever opens it gets the records that were appended, in
// their order, up to the first byte that is not as it was written. A process that
// is killed while it appends, a disk that tears a write and a bit that flips cost
// the records from there on, and never make one that was not appended. Each
// record stands between its length and a hash over everything up to its end:
//
//	16 bytes  "ursa journal 1\n\n", once
//	8 bytes   length of the record, big endian
//	n bytes   the record
//	32 bytes  SHA-256 over the 32 bytes before (of the first record: zeros), length and record
//
// What it does not promise: against somebody who may write the file it helps
// nothing. He can compute hashes, too, and can put an older copy back.
package journal

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
	"os"
	"syscall"
)

// File is what is needed of a file; *os.File has it.
type File interface {
	io.ReaderAt
	io.WriterAt
	Truncate(size int64) error
	Sync() error
}

// Journal of records in a file. It has one user.
type Journal struct {
	f       File
	at      int64    // where the next record begins
	chain   [32]byte // of the last one
	unsaved []byte   // frames that could not be written yet
}

// What a file may be refused for.
var (
	ErrInUse   = errors.New("journal: another process uses this file; a copy of it will do")
	ErrForeign = errors.New("journal: the file is something else and is left alone: name another one")
)

// mark is what a file begins with.
const mark = "ursa journal 1\n\n"

// marked looks whether a file begins with the mark. One that begins otherwise is
// refused, unless only a few bits of the mark are wrong, or it was cut in it.
func marked(f File) (whole bool, err error) {
	b := make([]byte, len(mark))
	n, err := f.ReadAt(b, 0)
	if err != nil && !errors.Is(err, io.EOF) {
		return false, fmt.Errorf("journal: %w", err)
	}
	wrong := 0
	for i := range n {
		wrong += bits.OnesCount8(b[i] ^ mark[i])
	}
	if wrong > 4 || n < len(mark) && wrong > 0 {
		return false, ErrForeign
	}
	return n == len(mark) && wrong == 0, nil
}

// OpenFile opens or makes a file, for this process alone until it is closed.
func OpenFile(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = f.Close()
		return nil, fmt.Errorf("%s: %w", path, ErrInUse)
	}
	return f, nil
}

// Open hands out the records of a file, one by one, and cuts off what follows the
// last whole one; lost says whether there was something. An error of take ends
// the reading and comes back.
func Open(f File, take func(record []byte) error) (j *Journal, lost bool, err error) {
	whole, err := marked(f)
	if err != nil {
		return nil, false, err
	}
	j = &Journal{f: f}
	if !whole {
		n, err := f.ReadAt(make([]byte, 1), 0)
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, false, fmt.Errorf("journal: %w", err)
		}
		return j, n > 0, j.Reset()
	}
	j.at = int64(len(mark))
	in := bufio.NewReaderSize(io.NewSectionReader(f, j.at, 1<<62), 1<<16)
	for {
		record, chain, err := next(in, j.chain)
		switch {
		case errors.Is(err, io.EOF):
			return j, false, nil
		case errors.Is(err, errTorn):
			if err := f.Truncate(j.at); err != nil {
				return nil, true, fmt.Errorf("journal: %w", err)
			}
			return j, true, nil
		case err != nil:
			return nil, false, fmt.Errorf("journal: %w", err)
		}
		if err := take(record); err != nil {
			return j, false, err
		}
		j.chain = chain
		j.at += int64(8 + len(record) + len(chain))
	}
}

// errTorn is what follows the last whole record.
var errTorn = errors.New("torn")

// next reads a record; io.EOF when there is none.
func next(in io.Reader, chain [32]byte) ([]byte, [32]byte, error) {
	var length [8]byte
	if _, err := io.ReadFull(in, length[:]); errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, chain, errTorn
	} else if err != nil {
		return nil, chain, err
	}
	n := binary.BigEndian.Uint64(length[:])
	if n > 1<<40 {
		return nil, chain, errTorn
	}
	var record bytes.Buffer // grows as bytes come, whatever the length says
	var sum [32]byte
	_, err := io.CopyN(&record, in, int64(n))
	if err == nil {
		_, err = io.ReadFull(in, sum[:])
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, chain, errTorn
	}
	if err != nil {
		return nil, chain, err
	}
	if link(chain, record.Bytes()) != sum {
		return nil, chain, errTorn
	}
	return record.Bytes(), sum, nil
}

// link is the hash that follows a record.
func link(chain [32]byte, record []byte) [32]byte {
	h := sha256.New()
	_, _ = h.Write(chain[:])
	_, _ = h.Write(binary.BigEndian.AppendUint64(nil, uint64(len(record))))
	_, _ = h.Write(record)
	return [32]byte(h.Sum(nil))
}

// Append adds a record and waits until it is on the disk. When that fails, the
// record is not forgotten: the next Append or Flush writes it, too.
func (j *Journal) Append(record []byte) error {
	if j.Size() == 0 {
		j.unsaved = []byte(mark)
	}
	j.chain = link(j.chain, record)
	j.unsaved = binary.BigEndian.AppendUint64(j.unsaved, uint64(len(record)))
	j.unsaved = append(append(j.unsaved, record...), j.chain[:]...)
	return j.Flush()
}

// Flush writes what could not be written before.
func (j *Journal) Flush() error {
	if len(j.unsaved) == 0 {
		return nil
	}
	if _, err := j.f.WriteAt(j.unsaved, j.at); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	if err := j.f.Sync(); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	j.at += int64(len(j.unsaved))
	j.unsaved = nil
	return nil
}

// Size is how many bytes the file has, with what could not be written yet.
func (j *Journal) Size() int64 { return j.at + int64(len(j.unsaved)) }

// Reset removes all records.
func (j *Journal) Reset() error {
	if err := j.f.Truncate(0); err != nil {
		return fmt.Errorf("journal: %w", err)
	}
	*j = Journal{f: j.f}
	return nil
}
