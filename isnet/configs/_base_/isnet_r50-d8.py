"""ISNet on a dilated ResNet-50 (v1c stem, output stride 8), as in the official configs."""

method = "ISNet"
backbone_name = "R-50-D8"

norm_cfg = dict(type="SyncBN", requires_grad=True)
# avg_non_ignore: the mean over labelled pixels, as in the official code; mmseg's default divides by
# the number of all pixels.
cross_entropy = dict(type="CrossEntropyLoss", use_sigmoid=False, avg_non_ignore=True)

model = dict(
    type="EncoderDecoder",
    data_preprocessor=dict(
        type="DevicePreProcessor",
        mean=[123.675, 116.28, 103.53],
        std=[58.395, 57.12, 57.375],
        bgr_to_rgb=True,
        pad_val=0,
        seg_pad_val=255,
    ),
    pretrained="open-mmlab://resnet50_v1c",
    backbone=dict(
        type="ResNetV1c",
        depth=50,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        dilations=(1, 1, 2, 4),
        strides=(1, 2, 1, 1),
        norm_cfg=norm_cfg,
        norm_eval=False,
        style="pytorch",
        contract_dilation=True,
    ),
    decode_head=dict(
        type="ISNetHead",
        in_channels=(256, 512, 1024, 2048),
        in_index=(0, 1, 2, 3),
        input_transform="multiple_select",
        channels=512,
        transform_channels=256,
        concat_input=True,
        with_shortcut=False,
        shortcut_in_channels=256,
        shortcut_feat_channels=48,
        image_level=True,
        semantic_level=True,
        dropout_ratio=0.1,
        num_classes=19,
        norm_cfg=norm_cfg,
        act_cfg=dict(type="ReLU"),
        align_corners=False,
        loss_decode=[
            dict(**cross_entropy, loss_weight=0.4, loss_name="loss_stage1"),
            dict(**cross_entropy, loss_weight=1.0, loss_name="loss_stage2"),
        ],
    ),
    auxiliary_head=dict(
        type="ISNetAuxiliaryHead",
        in_channels=1024,
        in_index=2,
        channels=512,
        num_convs=1,
        concat_input=False,
        dropout_ratio=0.1,
        num_classes=19,
        norm_cfg=norm_cfg,
        align_corners=False,
        loss_decode=dict(**cross_entropy, loss_weight=0.4),
    ),
    train_cfg=dict(),
    test_cfg=dict(mode="whole"),
)
