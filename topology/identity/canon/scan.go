package canon

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"unicode/utf8"
)

// The major types of RFC 8949 §3.1.
const (
	majorUint   = 0
	majorNegInt = 1
	majorBytes  = 2
	majorText   = 3
	majorArray  = 4
	majorMap    = 5
	majorTag    = 6
	majorOther  = 7
)

// Check says whether data is exactly one item of deterministic CBOR as this package understands it, whatever its meaning.
func Check(data []byte) error {
	end, err := skip(data, 0, 0)
	if err != nil {
		return err
	}
	if end != len(data) {
		return fmt.Errorf("%w: %d of them", ErrTrailing, len(data)-end)
	}
	return nil
}

// skip checks the item at data[at:] and returns the offset after it.
func skip(data []byte, at, depth int) (int, error) {
	major, arg, next, err := head(data, at)
	if err != nil {
		return 0, err
	}
	switch major {
	case majorBytes, majorText:
		return skipString(data, next, arg, major == majorText)
	case majorArray:
		return skipArray(data, next, arg, depth)
	case majorMap:
		return skipMap(data, next, arg, depth)
	}
	return next, nil
}

// head reads the initial byte and argument of an item and refuses the kinds of items that this encoding does not have.
func head(data []byte, at int) (major byte, arg uint64, next int, err error) {
	if at >= len(data) {
		return 0, 0, 0, at0(ErrTruncated, at)
	}
	major, info := data[at]>>5, data[at]&0x1f
	switch {
	case major == majorTag:
		return 0, 0, 0, at0(ErrTag, at)
	case major == majorOther:
		return major, 0, at + 1, other(info, at)
	case info < 24:
		return major, uint64(info), at + 1, nil
	case info == 31:
		return 0, 0, 0, at0(ErrIndefinite, at)
	case info > 27:
		return 0, 0, 0, at0(ErrReserved, at)
	}
	return argument(data, at, major, 1<<(info-24))
}

// argument reads the n bytes after the initial byte; a shorter form of the same number must not exist.
func argument(data []byte, at int, major byte, n int) (byte, uint64, int, error) {
	next := at + 1 + n
	if next > len(data) {
		return 0, 0, 0, at0(ErrTruncated, at)
	}
	var wide [8]byte
	copy(wide[8-n:], data[at+1:next])
	arg := binary.BigEndian.Uint64(wide[:])
	least := uint64(24)
	if n > 1 {
		least = 1 << (8 * n / 2)
	}
	if arg < least {
		return 0, 0, 0, at0(ErrNotShortest, at)
	}
	return major, arg, next, nil
}

// other judges major type 7: false and true are values, everything else has no place here.
func other(info byte, at int) error {
	switch info {
	case 20, 21:
		return nil
	case 25, 26, 27:
		return at0(ErrFloat, at)
	case 28, 29, 30:
		return at0(ErrReserved, at)
	case 31:
		return at0(ErrIndefinite, at)
	}
	return at0(ErrSimple, at)
}

func skipString(data []byte, at int, n uint64, text bool) (int, error) {
	if n > uint64(len(data)-at) {
		return 0, at0(ErrTruncated, at)
	}
	end := at + int(n)
	if text && !utf8.Valid(data[at:end]) {
		return 0, at0(ErrUTF8, at)
	}
	return end, nil
}

func skipArray(data []byte, at int, n uint64, depth int) (int, error) {
	if err := container(n, depth, at); err != nil {
		return 0, err
	}
	for range n {
		next, err := skip(data, at, depth+1)
		if err != nil {
			return 0, err
		}
		at = next
	}
	return at, nil
}

// skipMap also compares each key with the one before it: bytewise ascending (RFC 8949 §4.2.1) means sorted and unique at once.
func skipMap(data []byte, at int, n uint64, depth int) (int, error) {
	if err := container(n, depth, at); err != nil {
		return 0, err
	}
	var previous []byte
	for i := range n {
		afterKey, err := skip(data, at, depth+1)
		if err != nil {
			return 0, err
		}
		key := data[at:afterKey]
		if i > 0 {
			switch bytes.Compare(previous, key) {
			case 0:
				return 0, at0(ErrDuplicateKey, at)
			case 1:
				return 0, at0(ErrKeyOrder, at)
			}
		}
		previous = key
		if at, err = skip(data, afterKey, depth+1); err != nil {
			return 0, err
		}
	}
	return at, nil
}

func container(n uint64, depth, at int) error {
	if depth >= MaxNesting {
		return at0(ErrNesting, at)
	}
	if n > MaxElements {
		return at0(ErrElements, at)
	}
	return nil
}

// at0 adds the offset at which a rule was broken.
func at0(err error, at int) error { return fmt.Errorf("%w (at byte %d)", err, at) }
