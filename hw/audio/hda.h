/*
 * hda.h - the link between an Intel HDA controller and its codecs.
 */
#ifndef HW_AUDIO_HDA_H
#define HW_AUDIO_HDA_H

#include "hw/audio_if.h"
#include "hw/plug.h"

#define HDA_CODECS 15

struct hda_codec;

struct hda_codec_ops {
    /* A command without the codec's address: node << 20 | verb and payload. */
    uint32_t (*verb)(struct hda_codec *, uint32_t command);
    void (*reset)(struct hda_codec *);          /* of the link */
    /* Frames of stream `tag`, in that format. Record: false if no converter belongs to it. */
    void (*play)(struct hda_codec *, unsigned tag, const struct audio_format *, const void *data,
                 unsigned frames);
    bool (*record)(struct hda_codec *, unsigned tag, const struct audio_format *, void *data,
                   unsigned frames);
    void (*stopped)(struct hda_codec *, unsigned tag);  /* a stream to the codec */
};

struct hda_bus {
    struct chip_list *chips;
    struct hda_codec *codec[HDA_CODECS];
};

struct hda_codec {
    const struct hda_codec_ops *ops;
};

#endif
