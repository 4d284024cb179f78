# guest.S - a boot sector to be debugged: real mode, protected mode, long mode, and there what the tests look at.
#
# Words at 600h, which it sets first and a debugger may change at `ready`:
#   count   how often the hot loop writes; once is written in one of its rounds
        .equ    count, 0x600            # dword
        .equ    once, 0x1008            # qword: in the page the hot loop writes to
        .equ    hot, 0x1800
        .equ    tables, 0x10000
        .globl  _start, prot, long, hotloop, wrote, after, idle, beyond, strings, ready
        .text
        .code16
_start: cli
        ljmp    $0, $1f
1:      xor     %ax, %ax
        mov     %ax, %ds
        mov     %ax, %es
        mov     %ax, %ss
        mov     $0x7c00, %sp
        inb     $0x92, %al
        or      $2, %al
        outb    %al, $0x92
        movl    $100000000, count
        lgdt    gdtr
        mov     %cr0, %eax
        or      $1, %al
        mov     %eax, %cr0
        ljmp    $8, $prot
        .code32
prot:   mov     $16, %ax
        mov     %ax, %ds
        mov     %ax, %es
        mov     %ax, %ss
        mov     $0x7c00, %esp
        mov     $tables, %edi
        mov     $0xc00, %ecx
        xor     %eax, %eax
        rep stosl
        movl    $tables + 0x1003, tables
        movl    $tables + 0x2003, tables + 0x1000
        movl    $0x83, tables + 0x2000
        movl    $0x83, tables + 0x2008          # the second 2 MiB are the first once more
        mov     %cr4, %eax
        or      $0x620, %eax                    # PAE, OSFXSR, OSXMMEXCPT
        mov     %eax, %cr4
        mov     $tables, %eax
        mov     %eax, %cr3
        mov     $0xc0000080, %ecx
        rdmsr
        or      $0x100, %eax
        wrmsr
        mov     %cr0, %eax
        or      $0x80000000, %eax
        mov     %eax, %cr0
        ljmp    $24, $long
        .code64
long:   xor     %eax, %eax
        mov     $0x7c00, %esp
        movq    $0, once
ready:  nop
strings: mov    $hot, %edi
        mov     $hot + 64, %esi
        mov     $16, %ecx
        rep movsb
        pxor    %xmm1, %xmm1
        movq    %rsp, %xmm1
        fninit
        fld1
        fldpi
        mov     count, %ecx
        mov     %ecx, %edx
        shr     $1, %edx
hotloop: mov    %ecx, hot
        cmp     %edx, %ecx
        jne     1f
        movq    $0x1234, once
wrote:  add     $1, %eax
1:      dec     %ecx
        jnz     hotloop
after:  out     %al, $0x80
        mov     $0x277, %ecx
        rdmsr
idle:   jmp     idle
beyond: ud2
        .balign 8
gdt:    .quad   0, 0x00cf9b000000ffff, 0x00cf93000000ffff, 0x00af9b000000ffff
gdtr:   .word   gdtr - gdt - 1
        .long   gdt
        .org    510
        .word   0xaa55
